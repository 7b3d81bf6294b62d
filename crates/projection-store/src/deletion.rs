//! Deleting texts with everything that belongs to them, and files that nothing needs any more.
//!
//! A change that has no more use for a file notes that in the database. Such a pending delete is
//! carried out once the change is committed: right afterwards or, if the program was killed in
//! between, after the next change that deletes or imports anything.

use projection_core::Result;
use rusqlite::params;

use crate::store::{Change, Store};

/// Files that are removed while the write lock is held.
const AT_ONCE: i64 = 500;

impl Change<'_> {
    /// Deletes questions with everything that belongs to them.
    pub(crate) fn delete_questions(&self, questions: &[i64]) -> Result<()> {
        let ids = id_list(questions);
        self.delete_vectors("question", questions)?;
        for table in ["cluster_questions", "questions"] {
            self.execute(&delete_listed(table, "question_id"), [&ids])?;
        }
        Ok(())
    }

    /// Deletes answers with everything that belongs to them: embeddings, relations, and
    /// questions that came from feedback. Feedback on them counts as used, since a later
    /// answer may get the same id.
    pub(crate) fn delete_answers(&self, answers: &[i64]) -> Result<()> {
        let ids = id_list(answers);
        self.delete_questions(&self.ids(
            "SELECT question_id FROM engine_feedback JOIN query_log USING (log_id) WHERE \
             selected_answer_id IN (SELECT value FROM json_each(?1)) AND question_id IS NOT NULL",
            [&ids],
        )?)?;
        self.delete_vectors("answer", answers)?;
        self.execute(
            "INSERT OR REPLACE INTO engine_feedback (log_id, question_id) SELECT log_id, NULL \
             FROM query_log WHERE selected_answer_id IN (SELECT value FROM json_each(?1))",
            [&ids],
        )?;
        for (table, column) in [
            ("answer_relations", "from_answer_id"),
            ("answer_relations", "to_answer_id"),
            ("cluster_answers", "answer_id"),
            ("engine_metadata", "answer_id"),
            ("answers", "answer_id"),
        ] {
            self.execute(&delete_listed(table, column), [&ids])?;
        }
        Ok(())
    }

    /// Deletes embeddings that are wrong or not needed any more.
    pub(crate) fn delete_vectors(&self, entity_type: &str, entities: &[i64]) -> Result<()> {
        let these = "FROM embeddings WHERE entity_type = ?1 AND entity_id IN \
                     (SELECT value FROM json_each(?2))";
        self.delete_embeddings(these, params![entity_type, id_list(entities)])
    }

    /// Deletes the embeddings that `these`, the end of a query, says.
    pub(crate) fn delete_embeddings(
        &self,
        these: &str,
        values: impl rusqlite::Params + Copy,
    ) -> Result<()> {
        let paths: Vec<(String,)> = self.rows(&format!("SELECT vector_path {these}"), values)?;
        for (path,) in paths {
            self.delete_file_later(&path)?;
        }
        self.execute(&format!("DELETE {these}"), values)?;
        Ok(())
    }

    /// Notes that a file, named by its path in the database, is to be removed after the commit.
    pub(crate) fn delete_file_later(&self, path_in_database: &str) -> Result<()> {
        let sql = "INSERT OR IGNORE INTO engine_discarded_files VALUES (?1)";
        self.execute(sql, [path_in_database])?;
        Ok(())
    }
}

impl Store {
    /// Carries out the pending deletes of files that are ours: named as embeddings and files of
    /// models are, inside the store, and not in use for anything else, also not by another
    /// database in its folder. To be called after a commit.
    ///
    /// The write lock is held meanwhile: whoever puts a new embedding under one of the names
    /// holds it too, until its row is there. There may be many files and removing is slow on
    /// some disks, so it is let go now and then for other writers.
    ///
    /// Trouble is no error: a file that stays is an orphan, which `projection inspect` shows.
    pub(crate) fn carry_out_deletes(&mut self) {
        while let Ok(true) = self.carry_out_some_deletes() {}
    }

    /// Whether there are more.
    fn carry_out_some_deletes(&mut self) -> Result<bool> {
        if !self.exists("SELECT 1 FROM engine_discarded_files LIMIT 1", [])? {
            return Ok(false);
        }
        let change = self.begin()?;
        // What got the name of a file meanwhile has its file under it.
        change.execute(
            "DELETE FROM engine_discarded_files WHERE vector_path IN \
             (SELECT vector_path FROM embeddings) OR EXISTS (SELECT 1 FROM multi_head_projections \
             WHERE instr(vector_path, 'mh_' || mh_projection_id || '_')) OR EXISTS (SELECT 1 FROM \
             projections WHERE instr(vector_path, 'W_projection_' || projection_id || '.'))",
            [],
        )?;
        let unused: Vec<(String,)> = change.rows(
            "DELETE FROM engine_discarded_files WHERE vector_path IN (SELECT vector_path FROM \
             engine_discarded_files LIMIT ?1) RETURNING vector_path",
            [AT_ONCE],
        )?;
        // If another database can't be asked, nothing is removed yet.
        let in_use = change.files_of_neighbours()?;
        for (path,) in unused.iter().filter(|(path,)| is_ours(path)) {
            if let Ok(file) = change.resolve_path(path, "")
                && file.canonicalize().is_ok_and(|file| !in_use.contains(&file))
            {
                let _ = std::fs::remove_file(file);
            }
        }
        change.commit()?;
        Ok(true)
    }
}

/// Whether a path in the database ends in a name that embeddings or files of models have.
fn is_ours(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let begins = |names: &[&str]| names.iter().any(|own| name.starts_with(own));
    let of_model = ["W_projection_", "centroid_", "answer_emb_", "W_"];
    begins(&["mh_"])
        || name.ends_with(".npy")
            && (begins(&of_model) || begins(&["answer_", "question_"]) && name.contains("_model_"))
}

/// Ids as one value for `json_each`, so that many rows are deleted in one pass.
pub(crate) fn id_list(ids: &[i64]) -> String {
    serde_json::Value::from(ids).to_string()
}

fn delete_listed(table: &str, column: &str) -> String {
    format!("DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?1))")
}
