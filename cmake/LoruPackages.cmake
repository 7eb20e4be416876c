# cpack -G DEB: the package libloru-dev of what LoruInstall.cmake installs. The program federate is not packaged: it is
# built for this machine's instruction set and finds its bundled data in the source tree.

set(CPACK_PACKAGE_NAME loru)
set(CPACK_PACKAGE_VENDOR "")
# The packager, as Debian's own tools ask for one.
set(CPACK_PACKAGE_CONTACT "loru <loru@localhost>")
if(DEFINED ENV{DEBFULLNAME} AND DEFINED ENV{DEBEMAIL})
  set(CPACK_PACKAGE_CONTACT "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
endif()
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_COMPONENTS_ALL loru loru_debian)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_NAME libloru-dev)
set(CPACK_DEBIAN_PACKAGE_VERSION ${PROJECT_VERSION}-1)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
if(NOT LORU_INSTALL_COMPILED)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
endif()
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4), libeigen3-dev (<< 4), nlohmann-json3-dev, zlib1g-dev")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libopenmpi-dev")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION  # below the project's own, in one line
"loru trains neural networks by low-rank updates in federated learning:
clients train and send thin factors, and the server adds their product to the
weights. It has tensors, automatic differentiation, low-rank layers, federated
algorithms, real messages and a simulator.")

# What Debian asks for beside them; `cmake --install` leaves it out.
string(TIMESTAMP deb_date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, if that is set
configure_file(${PROJECT_SOURCE_DIR}/cmake/packages/deb/changelog.in ${PROJECT_BINARY_DIR}/deb/changelog.Debian @ONLY)
set(deb_doc_dir share/doc/libloru-dev)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/packages/deb/copyright DESTINATION ${deb_doc_dir}
  COMPONENT loru_debian EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/packages/deb/lintian-overrides DESTINATION share/lintian/overrides
  RENAME libloru-dev COMPONENT loru_debian EXCLUDE_FROM_ALL)
install(CODE "execute_process(COMMAND gzip -9nc INPUT_FILE \"${PROJECT_BINARY_DIR}/deb/changelog.Debian\"
  OUTPUT_FILE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${deb_doc_dir}/changelog.Debian.gz\" COMMAND_ERROR_IS_FATAL ANY)"
  COMPONENT loru_debian EXCLUDE_FROM_ALL)

include(CPack)
