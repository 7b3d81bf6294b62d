//! BM25 over the texts of answers, by SQLite's FTS5 in memory.

use rusqlite::{Connection, params};

use crate::error::{Error, ErrorKind, Result};

/// The texts of answers, to be searched by words. Belongs to one thread at a time.
#[derive(Debug)]
pub struct Lexical {
    connection: Connection,
}

impl Lexical {
    /// Indexes texts by their words, without regard to case and diacritics. Each text has a row, which names it.
    pub(super) fn new(texts: &[(usize, &str)]) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(failed)?;
        connection
            .execute_batch(
                "BEGIN; CREATE VIRTUAL TABLE texts USING fts5(text, \
                 tokenize = 'unicode61 remove_diacritics 2')",
            )
            .map_err(failed)?;
        let sql = "INSERT INTO texts (rowid, text) VALUES (?1, ?2)";
        for (row, text) in texts {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(params![row, text]))
                .map_err(failed)?;
        }
        connection.execute_batch("COMMIT").map_err(failed)?;
        Ok(Self { connection })
    }

    /// Rows of the texts that share a word with `question`, with their BM25 scores: the
    /// higher the better, all above zero.
    pub(super) fn scores(&self, question: &str) -> Result<Vec<(usize, f32)>> {
        let mut words: Vec<String> = question
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| format!("\"{}\"", word.to_lowercase()))
            .collect();
        words.sort_unstable();
        words.dedup();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        // FTS5 gives the better ones the lower numbers.
        self.connection
            .prepare_cached("SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ?1")
            .and_then(|mut statement| {
                let rows = statement.query_map([words.join(" OR ")], |row| {
                    Ok((row.get::<_, usize>(0)?, row.get::<_, f64>(1)? as f32))
                })?;
                rows.collect()
            })
            .map_err(failed)
    }
}

fn failed(error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("full-text index in memory: {error}"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_by_words_whatever_the_question_holds() {
        let texts = [(0, "Linking a library"), (3, "Übung and practice"), (7, "linked libraries")];
        let lexical = Lexical::new(&texts).unwrap();
        let rows = |question: &str| -> Vec<usize> {
            let mut scores = lexical.scores(question).unwrap();
            assert!(scores.iter().all(|(_, score)| *score > 0.0));
            scores.sort_by(|a, b| b.1.total_cmp(&a.1));
            scores.into_iter().map(|(row, _)| row).collect()
        };
        assert_eq!(rows("How is it LINKED?"), [7]);
        assert_eq!(rows("ubung"), [3]);
        assert!(rows("nothing of that").is_empty());
        assert!(rows("  ?! ").is_empty());
        // What has a meaning in FTS5's own language is words here.
        assert_eq!(rows("NOT \"practice\" OR NEAR( * ^text:"), [3]);
    }
}
