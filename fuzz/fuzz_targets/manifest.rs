#![no_main]
#![allow(dead_code)]

#[path = "../../tests/it/support/scanner.rs"]
mod oracle;
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::answers::manifest(data));
