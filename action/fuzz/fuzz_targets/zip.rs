#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered::archive::fuzzing::check(bytes).unwrap());
