#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered::archive::check_zip(bytes).unwrap());
