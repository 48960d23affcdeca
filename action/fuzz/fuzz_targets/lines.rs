#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covered::coverage::fuzzing::check(covered::coverage::fuzzing::Family::Lines, bytes));
