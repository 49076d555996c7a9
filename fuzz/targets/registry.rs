//! See `gaoler_fuzz::parsers::registry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gaoler_fuzz::parsers::registry(data));
