//! The store: the SQLite database `lda.db` and the array files beside it.
//!
//! Databases made by the existing Python code open, and what is written here opens there.
//! One file per group of tables.

mod answers;
mod batches;
mod clusters;
mod deletion;
mod discarded;
mod embeddings;
mod feedback;
mod files;
mod listing;
mod models;
mod multi_head;
mod new_vectors;
mod publish;
mod query_log;
mod recorded;
mod schema;
mod texts;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, ErrorKind, Result};
use crate::layout;

pub use crate::parameters::{ModelKind, ModelParameters};
pub use answers::Answer;
pub(crate) use batches::VectorBatch;
pub use batches::{Batch, BatchStatus};
pub use clusters::{Cluster, EmbeddedQuestion};
pub(crate) use deletion::id_list;
pub use embeddings::{EmbeddedAnswer, EmbeddedCluster, EmbeddingModel, EntityType, MissingText};
pub use feedback::FeedbackQuestion;
pub use listing::StoredModel;
pub use models::{LinearRow, ModelRecord, NewLinear};
pub use multi_head::{MultiHeadRow, NewHead, NewModel};
pub(crate) use new_vectors::{NewVectors, remove_list};
pub use query_log::{Feedback, LoggedQuery};
pub use recorded::{FileUse, RecordedFile};
pub use texts::{AnswerText, ClusteredQuestion};

/// How long a writer waits for another one before it gives up with [`ErrorKind::Busy`].
const PATIENCE: Duration = Duration::from_secs(5);

/// An open store. Belongs to one thread at a time; open it again for another.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    allow_outside: bool,
}

impl Store {
    /// Opens the existing store whose database is `database`, for reading and writing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such file, [`ErrorKind::InvalidStore`]
    /// where it is not a store or of a newer schema, [`ErrorKind::Io`] where it can't be
    /// opened.
    pub fn open(database: impl AsRef<Path>) -> Result<Self> {
        let store = Self::connect(database.as_ref(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check(&store.connection, &store.path)?;
        Ok(store)
    }

    /// Opens the existing store whose database is `database` without the right to change
    /// it, so that a read-only folder will do. What a killed writer left half-written is
    /// undone first, which needs a folder that can be written to.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(database: impl AsRef<Path>) -> Result<Self> {
        let database = database.as_ref();
        let open = || {
            let store = Self::connect(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            schema::check(&store.connection, &store.path)?;
            Ok(store)
        };
        open().or_else(|error| match wants_to_write(&error) {
            // Whoever opens the database for writing and reads from it undoes the change.
            true => Self::open(database).and_then(|_| open()),
            false => Err(error),
        })
    }

    /// Opens a store, making an empty one where there is none. The folder must exist.
    /// Databases of early programs, which did not know batches and heads, get the tables
    /// that they lack.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_or_create(database: impl AsRef<Path>) -> Result<Self> {
        let path = database.as_ref();
        if !path.exists() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("creating {}: no folder {}", path.display(), folder.display()),
                ));
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let store = Self::open_file(path, flags)?;
            // Another process may have been faster: then its tables are checked below.
            if schema::is_empty(&store.connection, path)? {
                schema::create(&store.connection, path)?;
            }
        }
        let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if schema::is_empty(&store.connection, path)? {
            schema::create(&store.connection, path)?;
        }
        schema::complete(&store.connection, path)?;
        schema::check(&store.connection, path)?;
        Ok(store)
    }

    /// Lets paths in the database lead outside the store's folder. Only for databases that
    /// are trusted.
    pub fn allow_outside_paths(mut self, allow: bool) -> Self {
        self.allow_outside = allow;
        self
    }

    /// Whether paths in the database may lead outside the store's folder.
    pub(crate) fn allows_outside_paths(&self) -> bool {
        self.allow_outside
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|e| Error::io("opening", path, e))?;
        if !metadata.is_file() {
            return Err(Error::new(
                ErrorKind::InvalidStore,
                format!("{}: not a file, expected a store's lda.db", path.display()),
            ));
        }
        Self::open_file(path, flags)
    }

    fn open_file(path: &Path, flags: OpenFlags) -> Result<Self> {
        let opening = |error| sql_error(path, "opening", error);
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(opening)?;
        connection.busy_timeout(PATIENCE).map_err(opening)?;
        // Existing databases may hold rows that miss their counterpart, and readers deal
        // with them: enforcing references would make such stores impossible to write to.
        connection.pragma_update(None, "foreign_keys", false).map_err(opening)?;
        Ok(Self { connection, path: path.to_path_buf(), allow_outside: false })
    }

    /// Begins a change of the store, waiting for other writers. It is undone unless it is
    /// committed.
    pub(crate) fn begin(&mut self) -> Result<Change<'_>> {
        let path = self.path.clone();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| sql_error(&path, "writing to", error))?;
        Ok(Change { transaction, path })
    }

    /// The folder of the array files of a text model.
    pub fn embeddings_folder(&self, model_name: &str) -> PathBuf {
        let store = self.path.parent().unwrap_or(Path::new(""));
        store.join(layout::EMBEDDINGS_FOLDER).join(layout::model_folder(model_name))
    }

    fn resolve(&self, recorded: &str, model_name: &str) -> Result<PathBuf> {
        layout::resolve(&self.path, recorded, model_name, self.allow_outside)
    }

    /// All rows of a query.
    fn query<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.connection
            .prepare(sql)
            .and_then(|mut statement| statement.query_map(values, row)?.collect())
            .map_err(self.reading())
    }

    /// Whether the database has the table: the engine's own ones come when they are needed.
    fn has_table(&self, name: &str) -> Result<bool> {
        self.connection
            .query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .map_err(self.reading())
    }

    fn reading(&self) -> impl Fn(rusqlite::Error) -> Error {
        |error| sql_error(&self.path, "reading", error)
    }

    fn not_found(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::NotFound, format!("{}: {what}", self.path.display()))
    }
}

/// A change of the store that becomes visible as a whole when it is committed.
pub(crate) struct Change<'a> {
    transaction: Transaction<'a>,
    path: PathBuf,
}

impl Change<'_> {
    pub(crate) fn commit(self) -> Result<()> {
        let path = self.path;
        self.transaction.commit().map_err(|error| sql_error(&path, "writing to", error))
    }

    /// Runs one statement and gives the number of changed rows.
    pub(crate) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        self.transaction
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(|error| sql_error(&self.path, "writing to", error))
    }

    /// Inserts one row and gives its id.
    pub(crate) fn insert(&self, sql: &str, values: impl rusqlite::Params) -> Result<i64> {
        self.execute(sql, values)?;
        Ok(self.transaction.last_insert_rowid())
    }

    /// All rows of a query.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.transaction
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(values, row)?.collect())
            .map_err(|error| sql_error(&self.path, "reading", error))
    }

    /// Makes sure that the engine's own tables are there.
    pub(crate) fn own_tables(&self) -> Result<()> {
        schema::create_own_tables(&self.transaction, &self.path)
    }
}

/// Whether a read-only connection found a change that has to be undone.
fn wants_to_write(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    let code = source.and_then(|error: &rusqlite::Error| error.sqlite_error_code());
    code == Some(ErrorCode::ReadOnly)
}

/// Translates an error of SQLite met while doing `action` on the database at `path`.
fn sql_error(path: &Path, action: &str, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::SchemaChanged) => {
            ErrorKind::InvalidStore
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure,
        ) => ErrorKind::Io,
        Some(ErrorCode::OutOfMemory) => ErrorKind::Internal,
        // A value of another type than the column's, a failed check, an unknown table.
        _ => ErrorKind::InvalidStore,
    };
    let hint = match kind {
        ErrorKind::Busy => " (another process is writing to it)",
        _ => "",
    };
    Error::new(kind, format!("{action} {}: {error}{hint}", path.display())).with_source(error)
}
