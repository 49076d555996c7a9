//! See `gaoler_fuzz::parsers::http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gaoler_fuzz::parsers::http(data));
