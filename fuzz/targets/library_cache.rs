//! See `gaoler_fuzz::parsers::library_cache`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gaoler_fuzz::parsers::library_cache(data));
