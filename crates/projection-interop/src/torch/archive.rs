//! The zip archive that torch writes: entries as they are, not compressed, below one folder.
//!
//! Entries are slices of the file. Compressed, encrypted and overlapping entries, which torch
//! never writes, are refused, so that no small file can turn into a large one.

use std::collections::HashMap;
use std::io::{self, Cursor};

use zip::{CompressionMethod, ZipArchive};

type Result<T> = std::result::Result<T, String>;

/// The entries of an archive by their names below the folder.
pub(super) struct Archive<'a> {
    entries: HashMap<String, &'a [u8]>,
    pub big_endian: bool,
}

impl<'a> Archive<'a> {
    /// Reads the archive in `bytes` and verifies the checksums of its entries.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let unusable = |e| format!("no usable zip archive, perhaps truncated: {e}");
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(unusable)?;
        if zip.has_duplicate_names() {
            return Err("the zip has two entries of one name".into());
        }
        if zip.has_overlapping_files().map_err(unusable)? {
            return Err("entries of the zip overlap".into());
        }
        let mut all = HashMap::new();
        for number in 0..zip.len() {
            let (name, data) = entry(&mut zip, bytes, number)
                .map_err(|what| format!("entry {number} of the zip: {what}"))?;
            all.insert(name, data);
        }
        // Everything is below one folder, whose name is that of the file when it was saved.
        let folders: Vec<&str> =
            all.keys().filter_map(|name| name.strip_suffix("/data.pkl")).collect();
        let [folder] = folders[..] else {
            return Err(format!(
                "{} entries {{name}}/data.pkl in the zip, expected one as torch.save writes",
                folders.len()
            ));
        };
        let prefix = format!("{folder}/");
        let below = |(name, data): (String, _)| Some((name.strip_prefix(&prefix)?.into(), data));
        let entries: HashMap<String, &[u8]> = all.into_iter().filter_map(below).collect();
        let big_endian = match entries.get("byteorder").copied() {
            None | Some(b"little") => false,
            Some(b"big") => true,
            Some(other) => {
                let found = String::from_utf8_lossy(&other[..other.len().min(20)]);
                return Err(format!("byteorder {found:?}, expected \"little\" or \"big\""));
            }
        };
        Ok(Self { entries, big_endian })
    }

    /// The data of the entry with this name below the folder.
    pub fn entry(&self, name: &str) -> Result<&'a [u8]> {
        self.entries.get(name).copied().ok_or_else(|| format!("no entry {name:?} in the zip"))
    }
}

/// Name and data of an entry.
fn entry<'a>(
    zip: &mut ZipArchive<Cursor<&[u8]>>,
    bytes: &'a [u8],
    number: usize,
) -> Result<(String, &'a [u8])> {
    let raw = zip.by_index_raw(number).map_err(|e| e.to_string())?;
    let name = raw.name().map_err(|e| e.to_string())?.into_owned();
    let (size, stored) = (raw.size(), raw.compressed_size());
    if raw.encrypted() || raw.compression() != CompressionMethod::Stored || size != stored {
        return Err(format!(
            "{name:?} is compressed or encrypted, {stored} bytes for {size}: torch never does that"
        ));
    }
    let part = |start: u64| {
        let end = start.checked_add(size)?;
        bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    };
    let data = raw.data_start().and_then(part);
    let data = data.ok_or_else(|| format!("{name:?} of {size} bytes lies outside the file"))?;
    drop(raw);
    // Reading to the end compares the checksum.
    let mut reader = zip.by_index(number).map_err(|e| e.to_string())?;
    io::copy(&mut reader, &mut io::sink()).map_err(|e| format!("{name:?} is damaged: {e}"))?;
    Ok((name, data))
}
