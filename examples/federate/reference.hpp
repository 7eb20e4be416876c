#pragma once
// The keys of a configuration, for readers and for machines.

#include <iosfwd>

namespace federate {

/// All keys as a Markdown table: what each takes, its default and what it means.
void write_keys(std::ostream& out);

/// The same as JSON Schema (draft 2020-12), which editors and validators of TOML understand.
void write_schema(std::ostream& out);

}  // namespace federate
