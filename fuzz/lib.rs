//! What the fuzz targets have in common with `tests/fuzz`: the parsers.

pub mod parsers;
