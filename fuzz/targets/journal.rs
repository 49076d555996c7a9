//! See `gaoler_fuzz::parsers::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gaoler_fuzz::parsers::journal(data));
