"""What loru needs, as packages of Conan that stand for the system's: eigen, nlohmann_json or zlib, by --name."""
from conan import ConanFile


class System(ConanFile):
    package_type = "header-library"

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.libdirs = self.cpp_info.includedirs = []
        if self.name == "eigen":
            self.cpp_info.includedirs = ["/usr/include/eigen3"]
        if self.name == "zlib":
            self.cpp_info.system_libs = ["z"]
