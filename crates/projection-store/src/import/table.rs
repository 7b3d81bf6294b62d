//! Tables as text, CSV and TSV, with the names of the columns in the first row.

use csv::{ReaderBuilder, StringRecord};

use super::rows::{Rows, Value};

/// The delimiter that the header of a CSV file has most often: spreadsheets write semicolons where
/// the comma is a decimal sign.
pub(super) fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or("").as_bytes();
    let count = |delimiter: &u8| header.iter().filter(|byte| *byte == delimiter).count();
    // The last of the greatest.
    *b"\t;,".iter().max_by_key(|delimiter| count(delimiter)).expect("there are three")
}

/// Adds every row of a table. Lines are those of the file, in which a quoted value may have
/// several.
pub(super) fn read(text: &str, delimiter: u8, rows: &mut Rows) -> Result<(), String> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).flexible(true).has_headers(false);
    let mut reader = builder.from_reader(text.as_bytes());
    let (mut header, mut record) = (StringRecord::new(), StringRecord::new());
    let mut next = |record: &mut StringRecord| {
        let more = reader.read_record(record).map_err(|error| error.to_string())?;
        Ok::<_, String>(more.then(|| reader.position().byte() as usize))
    };
    let Some(mut start) = next(&mut header)? else { return Err("an empty file".into()) };
    header.trim();
    for (at, name) in header.iter().enumerate() {
        if !name.is_empty() && header.iter().take(at).any(|other| other == name) {
            return Err(format!("line 1: the column '{name}' comes twice"));
        }
    }
    if header.iter().any(str::is_empty) {
        rows.warn("a column without a name is not kept".into());
    }
    let mut line = 1 + text[..start].matches('\n').count();
    while let Some(end) = next(&mut record)? {
        let whole = &text[start..end];
        let begin = whole.len() - whole.trim_start_matches(['\n', '\r']).len();
        let place = format!("line {}", line + whole[..begin].matches('\n').count());
        line += whole.matches('\n').count();
        start = end;
        if record.iter().all(|value| value.trim().is_empty()) {
            continue;
        }
        // A quote that is never closed takes in everything up to the end of the file: what is put
        // behind the last row is no row of its own then.
        if end == text.len() && whole.contains('"') {
            let probe = format!("{}\n#", whole.trim());
            if builder.from_reader(probe.as_bytes()).records().count() == 1 {
                rows.fault(&place, "a quote is not closed before the end of the file");
                continue;
            }
        }
        if record.len() != header.len() {
            let what =
                format!("{} values, expected {} as in the header", record.len(), header.len());
            rows.fault(&place, &what);
            continue;
        }
        let fields = header.iter().zip(&record).filter(|(name, _)| !name.is_empty());
        let fields = fields.map(|(name, value)| (name, Value::Text(value))).collect();
        rows.add(&place, fields);
    }
    Ok(())
}
