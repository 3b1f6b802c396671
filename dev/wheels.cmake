# Only for builds against the ROS wheels of the Python package index (see dev/setup.sh), never with a real ROS.
# Passed with -DCMAKE_PROJECT_INCLUDE, so that CMakeLists.txt needs no word about wheels. Two mends, both applied
# after the whole project has been read:
#
# 1. The wheels' exported targets name include folders of the machine that built them, and CMake refuses to
#    generate a project that uses such a target: folders that do not exist are dropped.
# 2. The virtual environment lies inside the source tree, and CMake refuses to export a target that names an
#    include folder there (NumPy's): such a folder is marked as one for this build only.
function(mend_include_folders)
  get_property(imported DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  get_property(own DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS imported own)
    get_target_property(folders "${target}" INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(mended "")
    foreach(folder IN LISTS folders)
      string(FIND "${folder}" "${CMAKE_SOURCE_DIR}/.venv/" found_at)
      if(target IN_LIST own AND found_at EQUAL 0)
        list(APPEND mended "$<BUILD_INTERFACE:${folder}>")
      elseif(folder MATCHES "^\\$<" OR EXISTS "${folder}")
        list(APPEND mended "${folder}")
      endif()
    endforeach()
    set_target_properties("${target}" PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${mended}")
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL mend_include_folders)
