//! An open store, and the ways in which the rest of this crate reads and changes its tables.

use std::fmt::Display;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use projection_core::{Error, ErrorKind, Result, atomic, layout};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row, Transaction, TransactionBehavior};

use crate::rows::FromRow;
use crate::schema;

/// How long a writer waits for another one before it gives up with [`ErrorKind::Busy`].
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest text or other value of a row, in bytes.
const LONGEST_VALUE: i32 = 64 << 20;

/// An open store. It belongs to one thread at a time; open it again for another.
///
/// Whatever reads it fails with [`ErrorKind::InvalidStore`] for a damaged database. Whatever
/// changes it fails with [`ErrorKind::Busy`] if another process keeps writing, and with
/// [`ErrorKind::Io`] if the database can't be written; then the store keeps what it had.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    allow_outside: bool,
    /// Whether opening it created the database.
    created: bool,
}

impl Store {
    /// Opens the existing store whose database is `database`, for reading and writing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file, [`ErrorKind::InvalidStore`] if it is
    /// not a store or has a newer schema, [`ErrorKind::Io`] if it can't be opened.
    pub fn open(database: impl AsRef<Path>) -> Result<Self> {
        let store = Self::connect(database.as_ref(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check(&store)?;
        Ok(store)
    }

    /// Opens the existing store whose database is `database` without the right to change it:
    /// its folder may be read-only, unless a killed writer left a change that must be undone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(database: impl AsRef<Path>) -> Result<Self> {
        let database = database.as_ref();
        let open = || {
            let store = Self::connect(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            schema::check(&store)?;
            Ok(store)
        };
        open().or_else(|error| match wants_to_write(&error) {
            // Opening for writing and reading once undoes the unfinished change.
            true => Self::open(database).and_then(|_| open()),
            false => Err(error),
        })
    }

    /// Opens a store, or makes an empty one if there is none. The folder must exist. Databases
    /// of early programs get the tables that they lack.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_or_create(database: impl AsRef<Path>) -> Result<Self> {
        let path = database.as_ref();
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        if !path.exists() {
            let target = atomic::follow_links(path).map_err(|e| Error::io("creating", path, e))?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("creating {}: no folder {}", path.display(), folder.display()),
                ));
            }
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let store = Self::connect(path, flags)?;
        schema::create_missing(&store)?;
        schema::check(&store)?;
        Ok(store)
    }

    /// `path` may be a link: what lies beside the database is beside the file it leads to.
    fn connect(path: &Path, flags: OpenFlags) -> Result<Self> {
        let followed = atomic::follow_links(path).map_err(|e| Error::io("opening", path, e))?;
        let path = followed.as_path();
        if !flags.contains(OpenFlags::SQLITE_OPEN_CREATE) {
            let metadata = std::fs::metadata(path).map_err(|e| Error::io("opening", path, e))?;
            if !metadata.is_file() {
                return Err(Error::new(
                    ErrorKind::InvalidStore,
                    format!("{}: not a file, expected a store's lda.db", path.display()),
                ));
            }
        }
        // SQLite would wait for the other end of a pipe in the place of its own files.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        for suffix in ["-journal", "-wal", "-shm"] {
            let mut file = real.clone().into_os_string();
            file.push(suffix);
            if std::fs::metadata(&file).is_ok_and(|found| !found.is_file()) {
                let what = format!("{}: not a regular file", Path::new(&file).display());
                return Err(Error::new(ErrorKind::InvalidStore, what));
            }
        }
        let open = || -> rusqlite::Result<Connection> {
            let connection =
                Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(PATIENCE)?;
            // Rows of existing databases may lack their counterpart, and readers deal with
            // that: with enforced references such stores could not be written to.
            connection.pragma_update(None, "foreign_keys", false)?;
            // What a hostile database could do beside what `schema::check` refuses.
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            // Pages that are written before the commit would keep all readers out.
            connection.pragma_update(None, "cache_spill", false)?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| sql_error(path, "opening", error))?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            allow_outside: false,
            created: flags.contains(OpenFlags::SQLITE_OPEN_CREATE),
        })
    }

    /// Closes the store. If opening it created the database and it has no texts, the database is
    /// removed again, so that a first import that fails leaves nothing behind.
    pub fn close_or_discard(self) {
        let empty = self.created && self.text_counts().is_ok_and(|counts| counts == (0, 0));
        let path = self.path.clone();
        drop(self);
        if empty {
            // One that stays is an empty store.
            let _ = std::fs::remove_file(path);
        }
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

    /// The database file; where it was opened through a link, the file that it leads to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the array files of an embedding model.
    pub fn embeddings_folder(&self, model_name: &str) -> PathBuf {
        let store = self.path.parent().unwrap_or(Path::new(""));
        store.join(layout::EMBEDDINGS_FOLDER).join(layout::model_folder(model_name))
    }

    /// The file that `path_in_database` names, for vectors by the embedding model `model_name`.
    /// Such paths are relative to the database, absolute, or relative to the working directory;
    /// in a store that was moved, the file is found by its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file, [`ErrorKind::InvalidStore`] if the
    /// path leads outside the store's folder and that is not allowed.
    pub fn resolve_path(&self, path_in_database: &str, model_name: &str) -> Result<PathBuf> {
        layout::resolve(&self.path, path_in_database, model_name, self.allow_outside)
    }
}

/// The path in the database of a file of an embedding model: relative to the database, with
/// slashes on every system.
pub(crate) fn path_in_database(model_name: &str, file_name: &str) -> String {
    format!("{}/{}/{file_name}", layout::EMBEDDINGS_FOLDER, layout::model_folder(model_name))
}

/// Reading tables. A row is read as `T`: a tuple, or a struct of [`from_row!`](crate::rows).
/// Rows with a value that can't be read are left out; [`Store::odd_values`] names them.
impl Store {
    /// All rows of a query.
    pub(crate) fn rows<T>(&self, sql: &str, values: impl Params) -> Result<Vec<T>>
    where
        T: FromRow,
    {
        let mut rows = Vec::new();
        self.each(sql, values, |row| {
            rows.extend(T::from_row(row));
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row of a query, if there is one.
    pub(crate) fn row<T>(&self, sql: &str, values: impl Params) -> Result<Option<T>>
    where
        T: FromRow,
    {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// The first column, an id, of all rows of a query.
    pub(crate) fn ids(&self, sql: &str, values: impl Params) -> Result<Vec<i64>> {
        let rows: Vec<(i64,)> = self.rows(sql, values)?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Whether a query has any rows.
    pub(crate) fn exists(&self, sql: &str, values: impl Params) -> Result<bool> {
        let mut any = false;
        self.each(sql, values, |_| {
            any = true;
            Ok(())
        })?;
        Ok(any)
    }

    /// Calls `each` with every row of a query.
    pub(crate) fn each(
        &self,
        sql: &str,
        values: impl Params,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                each(row)?;
            }
            Ok(())
        };
        read().map_err(|error| sql_error(&self.path, "reading", error))
    }

    /// Whether the database has the table. Tables of our own are made when they are needed.
    pub(crate) fn has_table(&self, name: &str) -> Result<bool> {
        self.exists("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [name])
    }

    /// Reads several tables as they are at one moment.
    pub(crate) fn at_one_moment<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let _snapshot = self
            .connection
            .unchecked_transaction()
            .map_err(|error| sql_error(&self.path, "reading", error))?;
        read()
    }

    /// Runs statements outside of a [`Change`].
    pub(crate) fn execute_script(&self, action: &str, script: &str) -> Result<()> {
        self.connection.execute_batch(script).map_err(|error| sql_error(&self.path, action, error))
    }

    /// An error about the database.
    pub(crate) fn error(&self, kind: ErrorKind, what: impl Display) -> Error {
        Error::new(kind, format!("{}: {what}", self.path.display()))
    }

    /// Begins a change, waiting for other writers. It is undone unless it is committed.
    pub(crate) fn begin(&mut self) -> Result<Change<'_>> {
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
                .map_err(|error| sql_error(&self.path, "writing to", error))?;
        // Asked now, when nobody else can add one.
        self.check_triggers()?;
        Ok(Change { transaction, store: self })
    }
}

/// A change of the store that becomes visible as a whole when it is committed. Whoever holds it
/// holds the write lock of the database.
pub(crate) struct Change<'a> {
    store: &'a Store,
    transaction: Transaction<'a>,
}

/// Reads within a change see what the change has written.
impl Deref for Change<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

impl Change<'_> {
    /// Runs one statement and returns the number of changed rows.
    pub(crate) fn execute(&self, sql: &str, values: impl Params) -> Result<usize> {
        self.transaction
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(|error| sql_error(&self.path, "writing to", error))
    }

    /// Inserts one row and returns its id.
    pub(crate) fn insert(&self, sql: &str, values: impl Params) -> Result<i64> {
        self.execute(sql, values)?;
        Ok(self.transaction.last_insert_rowid())
    }

    /// Makes the change visible.
    pub(crate) fn commit(self) -> Result<()> {
        let Self { store, transaction } = self;
        transaction.commit().map_err(|error| sql_error(&store.path, "writing to", error))
    }
}

/// Whether a read-only connection found a change that has to be undone.
fn wants_to_write(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    let code = source.and_then(|error: &rusqlite::Error| error.sqlite_error_code());
    code == Some(ErrorCode::ReadOnly)
}

/// Whether a database is in WAL mode, which its header says.
fn is_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18] == 2
}

/// Translates an error of SQLite met while doing `action` on the database at `path`.
fn sql_error(path: &Path, action: &str, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure,
        ) => ErrorKind::Io,
        Some(ErrorCode::OutOfMemory) => ErrorKind::Internal,
        // Not a database, damaged, a value of another type than the column's, a failed check.
        _ => ErrorKind::InvalidStore,
    };
    let hint = match (kind, error.sqlite_error_code()) {
        (ErrorKind::Busy, _) => " (another process is writing to it)",
        (_, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) if is_wal(path) => {
            " (it is in WAL mode, which needs a folder that can be written to; where it can, run \
             PRAGMA journal_mode = DELETE in it once)"
        }
        (_, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) => {
            " (the file or its folder can't be written to)"
        }
        _ => "",
    };
    Error::new(kind, format!("{action} {}: {error}{hint}", path.display())).with_source(error)
}
