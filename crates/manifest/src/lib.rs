//! YAML and JSON group files to a group specification, with the field matrix.
