//! Writes all projections of `tests/conformance/cases.txt` and `kinds.txt` bit for bit to
//! `target/tests/rust_dump.txt`, for other languages to compare with. The format is in
//! `tests/c/README.md`. The models themselves go to `target/tests/models/{case}.safetensors`,
//! for runtimes without a file system.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use projection_core::npy::NpyArray;
use projection_core::projection::{Model, Projection};

fn write_bits(line: &mut String, values: &[f32]) {
    for value in values {
        write!(line, "{:08x}", value.to_bits()).unwrap();
    }
}

/// What the benchmark of the JavaScript package runs as ONNX too.
const TIMED: &str = "d384_18-t0.1";

fn models_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tests/models")
}

/// Projects every row of a file of queries.
fn write_case(dump: &mut String, name: &str, queries: &Path, model: &Model) {
    model.save_file(models_folder().join(format!("{name}.safetensors"))).unwrap();
    if name == TIMED {
        projection_interop::onnx::save(model, models_folder().join(format!("{name}.onnx")))
            .unwrap();
    }
    let queries = NpyArray::load(queries).unwrap().to_f32().unwrap();
    for (row, query) in queries.chunks_exact(model.input_dim()).enumerate() {
        let mut projected = vec![0.0; model.output_dim()];
        let mut weights = vec![0.0; model.head_ids().len()];
        model.project_into(query, &mut projected, Some(&mut weights)).unwrap();
        write!(dump, "{name}\t{row}\t").unwrap();
        write_bits(dump, &projected);
        dump.push('\t');
        write_bits(dump, &weights);
        dump.push('\n');
    }
}

#[test]
fn dump_of_all_projections() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = workspace.join("tests/conformance");
    let mut dump = String::new();
    fs::create_dir_all(models_folder()).unwrap();
    let list = fs::read_to_string(root.join("cases.txt")).unwrap();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split(' ').collect();
        let (name, path) = (columns[0], root.join(columns[2]));
        let (id, temperature) = (columns[3].parse().unwrap(), columns[4].parse::<f64>().unwrap());
        let model = match columns[1] {
            "db" => {
                projection_store::Store::open_read_only(&path).and_then(|store| store.model(id))
            }
            _ => Model::load(&path, id, temperature),
        }
        .unwrap();
        write_case(&mut dump, name, &root.join("cases").join(name).join("queries.npy"), &model);
    }
    let list = fs::read_to_string(root.join("kinds.txt")).unwrap();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split(' ').collect();
        let (name, path) = (columns[0], root.join(columns[2]));
        let (id, temperature) = (columns[3].parse().unwrap(), columns[4].parse::<f64>().ok());
        let model = Model::load(&path, id, temperature).unwrap();
        write_case(&mut dump, name, &root.join("kinds").join(name).join("queries.npy"), &model);
    }
    let transformer =
        projection_interop::load_file(root.join("transformer/transformer.pt")).unwrap();
    transformer.save_file(models_folder().join("transformer.safetensors")).unwrap();
    assert!(dump.lines().count() > 400);
    let folder = workspace.join("target/tests");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("rust_dump.txt"), dump).unwrap();
}
