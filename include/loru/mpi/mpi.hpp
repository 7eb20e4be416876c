#pragma once
// A federation over the processes of an MPI program.

#include <loru/mpi/errors.hpp>
#include <loru/mpi/executor.hpp>
#include <loru/mpi/mailbox.hpp>
