//! The committed header is what the sources give.

use std::path::Path;

/// Fails where `include/projection.h` is stale. With UPDATE_HEADER=1 in the environment
/// (`make header`) writes it instead.
#[test]
fn header_is_up_to_date() {
    let krate = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = krate.join("../../include/projection.h");
    let config = cbindgen::Config::from_file(krate.join("cbindgen.toml")).unwrap();
    let mut generated = Vec::new();
    cbindgen::generate_with_config(krate, config).unwrap().write(&mut generated);
    // Rust's safety sections repeat what the header's conventions say once.
    let generated = without_safety_sections(&String::from_utf8(generated).unwrap());
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&header, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(committed == generated, "include/projection.h is stale: run `make header`");
}

fn without_safety_sections(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut in_section = false;
    for line in header.lines() {
        if line.trim_end() == " * # Safety" {
            in_section = true;
            if kept.last().is_some_and(|line| line.trim_end() == " *") {
                kept.pop();
            }
        }
        in_section &= line.trim_end() != " */";
        if !in_section {
            kept.push(line.trim_end());
        }
    }
    kept.join("\n") + "\n"
}
