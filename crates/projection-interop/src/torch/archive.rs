//! The zip archive that torch writes: entries as they are, not compressed, below one folder.
//!
//! Only the directory at the archive's end is believed, and each entry must lie inside the
//! file. Compressed entries, which torch never writes, are refused, so that no small file
//! can turn into a large one.

use std::collections::HashMap;
use std::ops::Range;

/// Fewest bytes of the record at the end of an archive.
const END: usize = 22;
/// Longest comment after it.
const COMMENT: usize = 65_535;
/// Bytes of an entry of the directory, without its name.
const ENTRY: usize = 46;
/// Bytes of the header before an entry's data, without its name.
const LOCAL: usize = 30;
/// Entries of an archive, at most: torch writes one a tensor.
const MAX_ENTRIES: u64 = 65_536;

type Result<T> = std::result::Result<T, String>;

/// Where the entries of an archive lie in its bytes.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    /// Data and checksum of each entry by its name below the folder.
    entries: HashMap<String, (Range<usize>, u32)>,
    pub big_endian: bool,
}

impl<'a> Archive<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let (directory, count) = directory(bytes)?;
        let mut all = HashMap::new();
        let mut rest = &bytes[directory.clone()];
        for number in 0..count {
            let (name, entry, length) =
                entry(bytes, rest).map_err(|what| format!("entry {number} of the zip: {what}"))?;
            rest = &rest[length..];
            if all.insert(name.to_string(), entry).is_some() {
                return Err(format!("the zip has two entries {name:?}"));
            }
        }
        if !rest.is_empty() {
            return Err(format!("{} bytes after the zip's directory of {count}", rest.len()));
        }
        // Everything is below one folder, which is called as the file was.
        let folders: Vec<&str> =
            all.keys().filter_map(|name| name.strip_suffix("/data.pkl")).collect();
        let [folder] = folders[..] else {
            return Err(format!(
                "{} entries {{name}}/data.pkl in the zip, expected one as torch.save writes",
                folders.len()
            ));
        };
        let prefix = format!("{folder}/");
        let below = all.into_iter().filter_map(|(name, entry)| {
            name.strip_prefix(&prefix).map(|name| (name.to_string(), entry))
        });
        let mut archive = Self { bytes, entries: below.collect(), big_endian: false };
        if archive.entries.contains_key("byteorder") {
            archive.big_endian = match archive.entry("byteorder")? {
                b"little" => false,
                b"big" => true,
                other => {
                    let found = String::from_utf8_lossy(&other[..other.len().min(20)]);
                    return Err(format!("byteorder {found:?}, expected \"little\" or \"big\""));
                }
            };
        }
        Ok(archive)
    }

    /// The data of the entry with this name below the folder.
    pub fn entry(&self, name: &str) -> Result<&'a [u8]> {
        let (range, checksum) =
            self.entries.get(name).ok_or_else(|| format!("no entry {name:?} in the zip"))?;
        let data = &self.bytes[range.clone()];
        if crc32fast::hash(data) != *checksum {
            return Err(format!("damaged: entry {name:?} has another checksum than recorded"));
        }
        Ok(data)
    }
}

/// The record at the archive's end: where its directory lies, and of how many entries.
fn directory(bytes: &[u8]) -> Result<(Range<usize>, u64)> {
    let first = bytes.len().saturating_sub(END + COMMENT);
    // The last one whose comment reaches to the end of the file.
    let at = (first..=bytes.len().saturating_sub(END)).rev().find(|at| {
        bytes[*at..].starts_with(b"PK\x05\x06")
            && u16_at(bytes, at + 20).is_ok_and(|len| at + END + usize::from(len) == bytes.len())
    });
    let at = at.ok_or("truncated: no end of a zip archive in the file")?;
    let mut count = u64::from(u16_at(bytes, at + 10)?);
    let mut size = u64::from(u32_at(bytes, at + 12)?);
    let mut start = u64::from(u32_at(bytes, at + 16)?);
    let mut end = at;
    // Archives with large numbers have these in another record, which the locator before
    // this one points to.
    let locator = at.checked_sub(20).filter(|at| bytes[*at..].starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let record = u64_at(bytes, locator + 8)?;
        let record = usize::try_from(record).ok().filter(|at| *at < locator);
        let record = record.filter(|at| bytes[*at..].starts_with(b"PK\x06\x06"));
        let record = record.ok_or("the zip's locator points to no record of its directory")?;
        count = u64_at(bytes, record + 32)?;
        size = u64_at(bytes, record + 40)?;
        start = u64_at(bytes, record + 48)?;
        end = record;
    }
    if count > MAX_ENTRIES {
        return Err(format!("{count} entries in the zip, expected at most {MAX_ENTRIES}"));
    }
    let stop = start.checked_add(size).filter(|stop| *stop <= end as u64);
    let stop = stop.ok_or_else(|| {
        format!("a zip directory of {size} bytes at byte {start}, expected it before byte {end}")
    })?;
    Ok((start as usize..stop as usize, count))
}

/// Name, data and checksum of the entry at the start of `rest`, and the length of its record.
#[allow(clippy::type_complexity)]
fn entry<'a>(bytes: &[u8], rest: &'a [u8]) -> Result<(&'a str, (Range<usize>, u32), usize)> {
    if !rest.starts_with(b"PK\x01\x02") {
        return Err("damaged or missing".into());
    }
    let flags = u16_at(rest, 8)?;
    let method = u16_at(rest, 10)?;
    let checksum = u32_at(rest, 16)?;
    let mut sizes = [u64::from(u32_at(rest, 20)?), u64::from(u32_at(rest, 24)?)];
    let lengths = [u16_at(rest, 28)?, u16_at(rest, 30)?, u16_at(rest, 32)?].map(usize::from);
    let mut offset = u64::from(u32_at(rest, 42)?);
    let name = part(rest, ENTRY, lengths[0])?;
    let name = std::str::from_utf8(name).map_err(|_| "a name that is not UTF-8")?;
    let extra = part(rest, ENTRY + lengths[0], lengths[1])?;
    let length = ENTRY + lengths.iter().sum::<usize>();
    part(rest, 0, length)?;

    // Numbers beyond 32 bits are in a field of their own, in this order.
    let [compressed, size] = &mut sizes;
    let mut wide = wide_numbers(extra)?;
    for number in [size, compressed, &mut offset] {
        if *number == u64::from(u32::MAX) {
            let (first, others) = wide.split_at_checked(8).ok_or("a number of it is missing")?;
            *number = u64_at(first, 0)?;
            wide = others;
        }
    }
    let [compressed, size] = sizes;
    if method != 0 || compressed != size {
        return Err(format!(
            "{name:?} is compressed, from {size} to {compressed} bytes: torch never does that"
        ));
    }
    if flags & 1 != 0 {
        return Err(format!("{name:?} is encrypted"));
    }
    let outside = || format!("{name:?}, {size} bytes at byte {offset}, lies outside the file");
    let start = usize::try_from(offset).map_err(|_| outside())?;
    let local = part(bytes, start, LOCAL).map_err(|_| outside())?;
    if !local.starts_with(b"PK\x03\x04") {
        return Err(format!("{name:?}: no entry at byte {offset}, where the directory has it"));
    }
    let skipped = usize::from(u16_at(local, 26)?) + usize::from(u16_at(local, 28)?);
    let data = start + LOCAL + skipped;
    let size = usize::try_from(size).map_err(|_| outside())?;
    part(bytes, data, size).map_err(|_| outside())?;
    Ok((name, (data..data + size, checksum), length))
}

/// The 64-bit numbers among the extra fields of an entry.
fn wide_numbers(mut extra: &[u8]) -> Result<&[u8]> {
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = part(extra, 4, length)?;
        if kind == 1 {
            return Ok(field);
        }
        extra = &extra[4 + length..];
    }
    Ok(&[])
}

fn part(bytes: &[u8], start: usize, length: usize) -> Result<&[u8]> {
    let range = start..start.checked_add(length).ok_or("a length that overflows")?;
    bytes.get(range).ok_or_else(|| "truncated".to_string())
}

fn number<const N: usize>(bytes: &[u8], start: usize) -> Result<[u8; N]> {
    Ok(part(bytes, start, N)?.try_into().expect("the part has N bytes"))
}

fn u16_at(bytes: &[u8], start: usize) -> Result<u16> {
    number(bytes, start).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], start: usize) -> Result<u32> {
    number(bytes, start).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], start: usize) -> Result<u64> {
    number(bytes, start).map(u64::from_le_bytes)
}
