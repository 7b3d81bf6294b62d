//! What a call through the C interface costs above the same call in Rust: of the smallest
//! model, where there is little beside the call, and of 18 heads × 384.
//!
//! The shared library is loaded as a program in C loads it. Both sides first give the same,
//! then take turns. The models stay in the folder of temporary files below `target`, where the
//! benchmark of Go's calls finds them. `--quick` makes fewer rounds.

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use projection_core::projection::{Head, Model, MultiHeadProjection, Projection};

/// Name, heads and dimension of each model.
const MODELS: [(&str, usize, usize); 2] = [("small", 1, 4), ("usual", 18, 384)];

/// Calls in a round: so few that most rounds are not interrupted.
const CALLS: u32 = 500;

type LoadFile = unsafe extern "C" fn(*const c_char, *mut *mut c_void, *mut *mut c_void) -> c_int;
type Project = unsafe extern "C" fn(
    *const c_void,
    *const f32,
    usize,
    *mut f32,
    usize,
    *mut f32,
    usize,
    *mut *mut c_void,
) -> c_int;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Resolve all symbols at once.
const RTLD_NOW: c_int = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    if !given("--bench") {
        return Ok(()); // Only a check that it builds.
    }
    let rounds = if given("--quick") { 501 } else { 4001 };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = Library::open()?;
    println!("calls, {rounds} rounds in turn: medians of ns a call, and of the differences");
    println!("{:28} {:>10} {:>10} {:>10} {:>8}", "", "C", "Rust", "above", "ratio");
    for (name, heads, dim) in MODELS {
        let path = folder.join(format!("calls_{name}.safetensors"));
        model(heads, dim)?.save_file(&path)?;
        let model = Model::load_file(&path)?;
        let native = library.load(&path)?;
        let query: Vec<f32> = (0..dim).map(|at| (at as f32 * 0.7).sin()).collect();
        let (mut ours, mut theirs) = (vec![0.0; dim], vec![0.0; dim]);
        model.project_into(&query, &mut ours, None)?;
        library.project(native, &query, &mut theirs)?;
        assert_eq!(ours, theirs, "the C interface gives something else");
        let (mut in_rust, mut in_c) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            for c_runs in [round % 2 == 0, round % 2 != 0] {
                let start = Instant::now();
                for _ in 0..CALLS {
                    match c_runs {
                        // Into the same memory, since where it lies takes some of the time.
                        true => library.project(native, black_box(&query), &mut ours)?,
                        false => model.project_into(black_box(&query), &mut ours, None)?,
                    }
                }
                let time = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
                if c_runs { in_c.push(time) } else { in_rust.push(time) }
            }
        }
        let above = in_c.iter().zip(&in_rust).map(|(c, rust)| c - rust).collect();
        let (c, rust, above) = (median(in_c), median(in_rust), median(above));
        let title = format!("one query, {heads} × {dim}");
        println!("{title:28} {c:>10.1} {rust:>10.1} {above:>10.1} {:>8.3}", c / rust);
    }
    println!("(goal: at most 10 above)");
    Ok(())
}

fn model(heads: usize, dim: usize) -> projection_core::Result<Model> {
    let head = |number: usize| Head {
        cluster_id: number as i64,
        centroid: (0..dim).map(|at| ((number * dim + at) as f64 * 1.3).cos()).collect(),
        answer: (0..dim).map(|at| ((number * dim + at) as f32 * 0.9).sin()).collect(),
        matrix: None,
    };
    MultiHeadProjection::from_heads((0..heads).map(head).collect(), 0.1).map(Model::MultiHead)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The functions of the shared library.
struct Library {
    load_file: LoadFile,
    project: Project,
}

impl Library {
    fn open() -> Result<Self, Box<dyn Error>> {
        let folder = std::env::current_exe()?;
        let folder = folder.ancestors().nth(2).ok_or("no folder above the program's")?;
        let name = format!("libprojection{}", std::env::consts::DLL_SUFFIX);
        let path: PathBuf =
            std::env::var_os("PROJECTION_LIBRARY").map_or_else(|| folder.join(name), PathBuf::from);
        let text = c_text(&path)?;
        // SAFETY: the path is a text; what the library does when it is loaded is ours.
        let library = unsafe { dlopen(text.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return Err(
                format!("{}: no shared library; set PROJECTION_LIBRARY", path.display()).into()
            );
        }
        let find = |name: &CStr| {
            // SAFETY: the library was opened above and is never closed.
            let found = unsafe { dlsym(library, name.as_ptr()) };
            if found.is_null() {
                Err(format!("no {name:?} in {}", path.display()))
            } else {
                Ok(found)
            }
        };
        let load_file = find(c"projection_model_load_file")?;
        let project = find(c"projection_model_project")?;
        // SAFETY: functions of these names have these types, see include/projection.h.
        unsafe {
            Ok(Self {
                load_file: std::mem::transmute::<*mut c_void, LoadFile>(load_file),
                project: std::mem::transmute::<*mut c_void, Project>(project),
            })
        }
    }

    fn load(&self, path: &Path) -> Result<*mut c_void, Box<dyn Error>> {
        let mut model = std::ptr::null_mut();
        // SAFETY: a text, a place for the model, and no place for an error.
        let status =
            unsafe { (self.load_file)(c_text(path)?.as_ptr(), &mut model, std::ptr::null_mut()) };
        if status == 0 { Ok(model) } else { Err(format!("status {status} of load_file").into()) }
    }

    #[inline]
    fn project(
        &self,
        model: *mut c_void,
        query: &[f32],
        projected: &mut [f32],
    ) -> Result<(), String> {
        let (weights, error) = (std::ptr::null_mut(), std::ptr::null_mut());
        let (read, written) = (query.as_ptr(), projected.as_mut_ptr());
        // SAFETY: the model is live, and the arrays have the lengths that are told.
        let status = unsafe {
            (self.project)(model, read, query.len(), written, projected.len(), weights, 0, error)
        };
        if status == 0 { Ok(()) } else { Err(format!("status {status}")) }
    }
}

fn c_text(path: &Path) -> Result<CString, Box<dyn Error>> {
    Ok(CString::new(path.as_os_str().as_encoded_bytes())?)
}
