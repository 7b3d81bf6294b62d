//! Where question–answer data comes from: files, BEIR folders and standard input, as text.
//!
//! A file may be compressed with gzip, begin with a byte order mark, and be in UTF-16.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use projection_core::kernel::files;
use projection_core::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

use super::{FileOptions, hex, versions};

/// The path that stands for standard input.
const STDIN: &str = "-";

/// A compressed file may hold a hundred times its own size, or this much where that is more.
/// Texts shrink to a fifth; what shrinks to less than a hundredth is meant to fill the memory.
const UNPACKED: u64 = 64 << 20;
const RATIO: u64 = 100;

/// The most that is read from standard input.
const PIPED: u64 = 4 << 30;

/// The bytes of one file, or of the files of a BEIR folder.
pub(super) struct Source {
    /// Each with its name, in a BEIR folder relative to that: corpus, queries, qrels.
    pub parts: Vec<(String, Vec<u8>)>,
    /// Whether it is a BEIR folder.
    pub is_beir: bool,
}

impl Source {
    pub fn read(path: &Path, options: &FileOptions) -> Result<Self> {
        let failed = |what| Error::new(ErrorKind::InvalidInput, what);
        if path.as_os_str() == STDIN {
            let bytes = at_most(std::io::stdin().lock(), PIPED)
                .map_err(|error| Error::io("reading", path, error))?
                .ok_or_else(|| failed(format!("standard input: more than {PIPED} bytes")))?;
            return Ok(Self { parts: vec![("standard input".into(), bytes)], is_beir: false });
        }
        if !path.is_dir() {
            let name = path.display().to_string();
            return Ok(Self { parts: vec![(name, files::read(path)?)], is_beir: false });
        }
        let Some([corpus, queries]) = beir_files(path) else {
            return Err(failed(format!(
                "{}: a folder, expected a file or a BEIR folder with corpus.jsonl and queries.jsonl",
                path.display()
            )));
        };
        let split = options.split.as_deref().unwrap_or("train");
        let qrels = path.join("qrels");
        let known = splits(&qrels);
        let qrels = known.iter().find(|(name, _)| name == split).map(|(_, file)| file.clone());
        let qrels = qrels.ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| &name[..]).collect();
            let found = if names.is_empty() { "none".into() } else { names.join(", ") };
            failed(format!(
                "{}: no qrels/{split}.tsv; --split names another one, found {found}",
                path.display()
            ))
        })?;
        let mut parts = Vec::new();
        for file in [corpus, queries, qrels] {
            let name = file.strip_prefix(path).unwrap_or(&file).display().to_string();
            parts.push((name, files::read(&file)?));
        }
        Ok(Self { parts, is_beir: true })
    }

    /// The name under which the store knows what is at `path`.
    pub fn name(database: &Path, path: &Path) -> Result<String> {
        match path.as_os_str() == STDIN {
            true => Ok(versions::STDIN.into()),
            false => versions::source_name(database, path),
        }
    }

    /// A hash of what decides the result: the bytes, and options if there are any. That of a file
    /// without options is its SHA-256, as other programs record it.
    pub fn hash(&self, options: &FileOptions) -> String {
        let mut hash = Sha256::new();
        for (_, bytes) in &self.parts {
            if self.is_beir {
                hash.update(bytes.len().to_le_bytes());
            }
            hash.update(bytes);
        }
        if *options != FileOptions::default() {
            hash.update(serde_json::to_vec(options).expect("options are plain texts"));
        }
        hex(&hash.finalize())
    }
}

/// Corpus and queries of a BEIR folder, if it is one.
pub(super) fn beir_files(folder: &Path) -> Option<[PathBuf; 2]> {
    let file = |name: &str| {
        let names = [format!("{name}.jsonl"), format!("{name}.jsonl.gz")];
        names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
    };
    Some([file("corpus")?, file("queries")?])
}

/// The splits in a folder of qrels with their files, by name.
fn splits(folder: &Path) -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut splits: Vec<(String, PathBuf)> = files
        .filter_map(|file| {
            let name = file.file_name()?.to_str()?;
            let name = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".tsv")?.to_string();
            Some((name, file))
        })
        .collect();
    splits.sort();
    splits
}

/// Everything from a reader, or `None` if it has more than `limit` bytes.
fn at_most(reader: impl Read, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// The text of a file, unpacked and in UTF-8 without a byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return decoded(bytes);
    }
    let limit = UNPACKED.max(RATIO * bytes.len() as u64);
    let unpacked = at_most(MultiGzDecoder::new(bytes), limit)
        .map_err(|error| format!("not a whole gzip file: {error}"))?
        .ok_or_else(|| {
            format!(
                "more than {limit} bytes after unpacking, a hundred times the file's size or 64 \
                 MiB; unpack it first if that is meant so"
            )
        })?;
    Ok(Cow::Owned(decoded(&unpacked)?.into_owned()))
}

fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    if bytes.starts_with(b"PAR1") {
        return Err("a Parquet file, which is not read; write it as JSONL or CSV, in Python \
                    pandas.read_parquet(…).to_json(…, orient=\"records\", lines=True)"
            .into());
    }
    if let Some(bytes) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return utf8(bytes);
    }
    // Without a mark, every text that we read begins with a letter or a sign of ASCII.
    let (rest, order): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        [first, 0, ..] if *first > 0 => (bytes, u16::from_le_bytes),
        [0, second, ..] if *second > 0 => (bytes, u16::from_be_bytes),
        _ => return utf8(bytes),
    };
    let (units, odd) = rest.as_chunks::<2>();
    let text: String = char::decode_utf16(units.iter().map(|unit| order(*unit)))
        .enumerate()
        .map(|(at, unit)| unit.map_err(|_| format!("not UTF-16: half a character at number {at}")))
        .collect::<Result<_, String>>()?;
    match odd.is_empty() {
        true => Ok(Cow::Owned(text)),
        false => Err("not UTF-16: an odd number of bytes".into()),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let Err(error) = std::str::from_utf8(bytes) else {
        return Ok(Cow::Borrowed(std::str::from_utf8(bytes).expect("it was just checked")));
    };
    let (right, rest) = bytes.split_at(error.valid_up_to());
    let right = String::from_utf8_lossy(right);
    let line = right.matches('\n').count() + 1;
    let column = right.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let others = rest.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count() - 1;
    let more = if others > 0 { format!(", and {others} more") } else { String::new() };
    Err(format!(
        "line {line}, column {column}: not UTF-8, byte 0x{:02x}{more}; expected UTF-8, or UTF-16 \
         with a byte order mark",
        rest[0]
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn text_in_every_encoding() {
        let utf16 = |order: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
            format!("{mark}aé😀").encode_utf16().flat_map(order).collect()
        };
        let plain = "aé😀".as_bytes();
        for bytes in [
            plain.to_vec(),
            "\u{feff}aé😀".into(),
            utf16(u16::to_le_bytes, "\u{feff}"),
            utf16(u16::to_be_bytes, "\u{feff}"),
            utf16(u16::to_le_bytes, ""),
            utf16(u16::to_be_bytes, ""),
        ] {
            assert_eq!(text(&bytes).unwrap(), "aé😀", "{bytes:?}");
            assert_eq!(text(&packed(&bytes)).unwrap(), "aé😀", "{bytes:?}, packed");
        }
        // Several members are one file.
        assert_eq!(text(&[packed(b"a"), packed(b"b")].concat()).unwrap(), "ab");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let bomb = packed(&vec![b' '; UNPACKED as usize + 1]);
        assert!(bomb.len() < 1 << 17);
        let cut = packed(b"a text that is cut short");
        for (bytes, words) in [
            (&b"ok\nab\xe9\xff"[..], "line 2, column 3: not UTF-8, byte 0xe9, and 1 more"),
            (b"\xff\xfea\0b", "odd number of bytes"),
            (b"\xff\xfea\0\x00\xd8", "half a character at number 1"),
            (b"PAR1xyz", "Parquet"),
            (&cut[..20], "not a whole gzip file"),
            (&bomb, "more than 67108864 bytes after unpacking"),
        ] {
            let error = text(bytes).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
