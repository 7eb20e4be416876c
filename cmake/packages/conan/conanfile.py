"""loru as a package of Conan 2, from the tree that this recipe lies in."""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load

TREE = os.path.join("..", "..", "..")  # from the recipe's folder

required_conan_version = ">=2.0"


class Loru(ConanFile):
    name = "loru"
    description = "Low-rank federated learning, header-only"
    license = "Apache-2.0"
    topics = ("federated-learning", "low-rank", "lora", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"  # for the checks and the test; one package serves all
    no_copy_source = True

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, TREE, "include", "loru", "version.hpp"))
        self.version = ".".join(re.findall(r"#define LORU_VERSION_\w+ (\d+)", text))

    def export_sources(self):
        tree = os.path.join(self.recipe_folder, TREE)
        for pattern in ("include/*.hpp", "LICENSE"):
            copy(self, pattern, tree, self.export_sources_folder)

    def requirements(self):
        # Headers of loru include theirs.
        self.requires("eigen/3.4.0", transitive_headers=True)
        self.requires("nlohmann_json/[>=3.11 <4]", transitive_headers=True)
        self.requires("zlib/[>=1.2.11 <2]", transitive_headers=True, transitive_libs=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*.hpp", os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "loru")
        core, loru = self.cpp_info.components["core"], self.cpp_info.components["loru"]
        core.set_property("cmake_target_name", "loru::core")
        core.requires = ["eigen::eigen"]
        if self.settings.os in ("Linux", "FreeBSD"):
            core.system_libs = ["pthread"]
        loru.set_property("cmake_target_name", "loru::loru")
        loru.requires = ["core", "nlohmann_json::nlohmann_json", "zlib::zlib"]
        for part in (core, loru):
            part.bindirs, part.libdirs = [], []
