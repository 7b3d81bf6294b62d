//! The committed C header and Go's error codes are what the sources generate.

use std::fmt::Write;
use std::path::Path;

use projection_core::ErrorKind;

/// Fails if `include/projection.h` is stale. With UPDATE_HEADER=1 in the environment
/// (`make header`), writes it instead.
#[test]
fn header_is_up_to_date() {
    let krate = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(krate.join("cbindgen.toml")).unwrap();
    config.after_includes = Some(status_enum());
    let mut generated = Vec::new();
    cbindgen::generate_with_config(krate, config).unwrap().write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    let lines: Vec<&str> = generated.lines().map(str::trim_end).collect();
    expect_file("include/projection.h", &(lines.join("\n") + "\n"));
}

#[test]
fn go_codes_are_up_to_date() {
    let mut codes = String::from(
        "// Code generated from crates/projection-kernel by `make header`. DO NOT EDIT.\n\n\
         package projection\n\n// #include <projection.h>\nimport \"C\"\n\nconst (\n",
    );
    for kind in ErrorKind::ALL {
        let name = if *kind == ErrorKind::Io { "IO".into() } else { format!("{kind:?}") };
        writeln!(codes, "\t// Err{name}: {}", description(*kind)).unwrap();
        writeln!(codes, "\tErr{name} Code = C.{}", constant(*kind)).unwrap();
    }
    expect_file("bindings/go/codes.go", &(codes + ")\n"));
}

/// The enumeration of statuses in C.
fn status_enum() -> String {
    let mut status = String::from(
        "\n/**\n * Result code of a call. The numbers are stable and never reused; later versions \
         may add some.\n */\ntypedef enum projection_status {\n  /**\n   * Success.\n   */\n  \
         PROJECTION_STATUS_OK = 0,\n",
    );
    for kind in ErrorKind::ALL {
        writeln!(status, "  /**\n   * {}\n   */", description(*kind)).unwrap();
        writeln!(status, "  {} = {},", constant(*kind), kind.number()).unwrap();
    }
    status + "} projection_status;"
}

fn constant(kind: ErrorKind) -> String {
    format!("PROJECTION_STATUS_{}", kind.name().to_uppercase().replace(' ', "_"))
}

fn description(kind: ErrorKind) -> String {
    kind.description().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn expect_file(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&file, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == generated, "{path} is stale: run `make header`");
}
