//! Running the command and making small stores.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The built command.
pub const PROJECTION: &str = env!("CARGO_BIN_EXE_projection");

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The embedding model that the tests embed with.
pub fn model_dir() -> PathBuf {
    let dir = root().join("models/all-MiniLM-L6-v2");
    let message = "the embedding model is not there: run `make model` first";
    assert!(dir.join("model.safetensors").is_file(), "{}: {message}", dir.display());
    dir
}

/// What a run of the command gave.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    Command::new(PROJECTION).args(args).output().unwrap().into()
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The output of a run that succeeded, and said nothing else: progress is for terminals.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The message of a run that failed with the given exit code.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        self.stderr
    }

    /// Kind and message of a run with `--json` that failed with the given exit code.
    #[track_caller]
    pub fn json_error(self, code: i32) -> (String, String) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        let error: Value = serde_json::from_str(&self.stderr).unwrap();
        let part = |key: &str| error["error"][key].as_str().unwrap().to_string();
        (part("kind"), part("message"))
    }
}

/// The file of an embedding, such as `answer_1_model_1`; its name goes on with random digits.
pub fn vector_file(folder: &Path, start: &str) -> PathBuf {
    let start = format!("{start}_");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&start);
    files.into_iter().find(is_it).unwrap_or_else(|| panic!("no {start}* in {}", folder.display()))
}

/// A folder for a store.
pub struct Place {
    pub dir: TempDir,
}

/// Three clusters of both shapes, with questions that the answers' words do not give away.
pub const SMALL: &str = r#"{"clusters": [
    {"answer_id": "csv", "answer": "Use the delimiter option of the table reader.",
     "questions": ["How do I read a CSV file?", "My columns are separated by semicolons",
                   "load comma separated values"]},
    {"answer_id": "closures", "answer": "A function keeps the variables around it.",
     "questions": ["What is a closure?", "Why can an inner function still see my variable?"]},
    {"id": "errors", "answer_source": "guide.md",
     "answers": {"default": "Return a result and let the caller decide.",
                 "all-MiniLM-L6-v2": "Failures: return a result, the caller decides.",
                 "another-model": "A wording for another embedding model."},
     "queries": {"short": ["error handling"], "medium": ["How are errors handled?"],
                 "long": ["What should my function do when the file that it reads is gone?"]}}
]}"#;

impl Place {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// A store with [`SMALL`], embedded.
    pub fn embedded() -> Self {
        let place = Self::new();
        place.write("small.json", SMALL);
        run(["import", &place.db(), &place.file("small.json")]).ok();
        place.embed().ok();
        place
    }

    /// A store with [`SMALL`], embedded, and projection 1.
    pub fn trained() -> Self {
        let place = Self::embedded();
        run(["train", &place.db(), "--method", "multi-head", "--force"]).ok();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    pub fn db(&self) -> String {
        self.file("lda.db")
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn embed(&self) -> Run {
        run(["embed", &self.db(), "--model-dir", model_dir().to_str().unwrap()])
    }

    pub fn query(&self, args: &[&str]) -> Run {
        let (db, model) = (self.db(), model_dir());
        let model = model.to_str().unwrap();
        run(["query", &db, "--model-dir", model].iter().chain(args))
    }

    pub fn inspect(&self) -> Value {
        let run = run(["inspect", "--json", &self.db()]);
        assert_eq!(run.stderr, "");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let healthy = report["problems"].as_array().unwrap().is_empty();
        assert_eq!(run.code, Some(if healthy { 0 } else { 1 }), "{report}");
        report
    }

    /// Checks that the store has nothing wrong.
    #[track_caller]
    pub fn healthy(&self) -> Value {
        let report = self.inspect();
        assert_eq!(report["problems"], Value::Array(Vec::new()));
        report
    }

    pub fn sql(&self) -> rusqlite::Connection {
        let sql = rusqlite::Connection::open(self.path("lda.db")).unwrap();
        sql.pragma_update(None, "foreign_keys", false).unwrap();
        sql
    }
}

/// Copies a folder and what is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
