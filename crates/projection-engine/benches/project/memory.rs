//! How much memory models and indices take, beside the size of their vectors.
//!
//! Each is made in a process of its own, which is this program once more, and what it freed is
//! given back to the system before memory is counted.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use ndarray::{Array2, ArrayView2};
use projection_core::kernel::progress::ignore_progress;
use projection_core::npy::{self, NpyArray};
use projection_core::projection::{Head, Model, MultiHeadProjection, Precision, Projection};
use projection_core::search::Index;

use crate::large::clustered;
use crate::work::DIM;

/// The argument that makes this program the measured process; what and where follow.
const FLAG: &str = "--memory-of";

/// What is measured, and how many values of how many bytes each vector's row has.
const KINDS: [(&str, &str, usize); 6] = [
    ("index", "vectors for exact search", DIM * 4),
    ("lists", "vectors for search by lists", DIM * 4),
    ("mapped", "heads of a mapped file, f32", 2 * DIM * 4),
    ("f32", "heads made in memory, f32", 2 * DIM * 4),
    ("bf16", "heads of a mapped file, bf16", 2 * DIM * 2),
    ("int8", "heads of a mapped file, int8", 2 * DIM),
];

/// Prints a row for each kind. `folder` has centroids.npy and answers.npy.
pub fn rows(folder: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let model = Model::MultiHead(model(folder, count)?);
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        model.with_precision(precision)?.save_file(file(folder, precision.name()))?;
    }
    drop(model);
    npy::save(folder.join("clustered.npy"), clustered(count, 0).0.view())?;
    println!("\nmemory of {count} × {DIM}, resident in a new process, MB");
    println!("{:52} {:>10} {:>10} {:>6}", "", "taken", "vectors", "ratio");
    for (kind, title, bytes) in KINDS {
        let process = Command::new(std::env::current_exe()?)
            .args([FLAG, kind])
            .arg(folder)
            .arg(count.to_string())
            .output()?;
        let said = String::from_utf8(process.stdout)?;
        let taken: f64 = said.trim().parse().map_err(|_| {
            format!("memory of {kind}: {said} {}", String::from_utf8_lossy(&process.stderr))
        })?;
        let vectors = (count * bytes) as f64;
        let ratio = taken / vectors;
        println!("{title:52} {:>10.1} {:>10.1} {ratio:>6.2}", taken / 1e6, vectors / 1e6);
    }
    Ok(())
}

/// Where this is a measured process: prints the bytes and gives how that went.
pub fn measured_here() -> Option<Result<(), Box<dyn Error>>> {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == FLAG)?;
    let [kind, folder, count] = arguments.get(at + 1..at + 4)? else { return None };
    Some(measure(kind, Path::new(folder), count))
}

fn measure(kind: &str, folder: &Path, count: &str) -> Result<(), Box<dyn Error>> {
    let count: usize = count.parse()?;
    let before = resident()?;
    let query: Vec<f32> = (0..DIM).map(|at| ((at * 37) % 101) as f32 - 50.0).collect();
    // Each is used once, so that all of what it needs is there.
    let taken = match kind {
        "index" | "lists" => {
            let ids: Vec<i64> = (0..count as i64).collect();
            let mut index = Index::from_vectors(&ids, load(folder, "clustered.npy")?.view())?;
            drop(ids);
            if kind == "lists" {
                let found = index.build_index(None, None, 2, &mut ignore_progress)?;
                if found.lists < 2 {
                    return Err("no lists were made".into());
                }
            }
            index.search(&query, None, 10)?;
            resident()?
        }
        "f32" => {
            let model = model(folder, count)?;
            model.project(&query)?;
            resident()?
        }
        kind => {
            let name = if kind == "mapped" { "f32" } else { kind };
            let model = Model::load_file(file(folder, name))?;
            let mut projected = vec![0.0; model.output_dim()];
            model.project_into(&query, &mut projected, None)?;
            resident()?
        }
    };
    println!("{}", taken - before);
    Ok(())
}

fn file(folder: &Path, precision: &str) -> std::path::PathBuf {
    folder.join(format!("memory_{precision}.safetensors"))
}

fn load(folder: &Path, name: &str) -> Result<Array2<f32>, Box<dyn Error>> {
    let array = NpyArray::load(folder.join(name))?;
    Ok(Array2::from_shape_vec(array.matrix_shape(), array.to_f32()?)?)
}

fn model(folder: &Path, count: usize) -> Result<MultiHeadProjection, Box<dyn Error>> {
    let (centroids, answers) = (load(folder, "centroids.npy")?, load(folder, "answers.npy")?);
    let row = |of: ArrayView2<'_, f32>, number: usize| of.row(number).to_vec();
    let head = |number| Head {
        cluster_id: number as i64,
        centroid: row(centroids.view(), number).into_iter().map(f64::from).collect(),
        answer: row(answers.view(), number),
        matrix: None,
    };
    Ok(MultiHeadProjection::from_heads((0..count).map(head).collect(), 0.1)?)
}

/// The bytes of this process that are in memory, of mapped files among them.
fn resident() -> Result<i64, Box<dyn Error>> {
    // What was freed is given back first.
    // SAFETY: it may be called at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0)
    };
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: i64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
