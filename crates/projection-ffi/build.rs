//! Gives the shared library its name for the run-time linker. The number is the major version,
//! which changes when the C interface breaks.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    let option = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => format!("-soname,libprojection.so.{major}"),
        Ok("macos") => format!("-install_name,@rpath/libprojection.{major}.dylib"),
        _ => return,
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,{option}");
}
