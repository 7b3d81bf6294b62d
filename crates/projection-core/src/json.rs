//! Reading JSON of untrusted files: a reader that is small, says where a text ends to be JSON,
//! and takes no more memory than a text can be worth.
//!
//! What we write is `serde_json`'s; it would be a third of the engine in a browser.

mod decimal;

use std::fmt;

/// Values inside values. Our own files have four.
const DEEPEST: usize = 64;

/// Values of a text. Our own files have some ten a tensor.
const MOST: usize = 1 << 20;

/// A value, with its own text.
#[derive(Debug)]
pub struct Json<'a> {
    text: &'a str,
    value: Value<'a>,
}

#[derive(Debug)]
enum Value<'a> {
    Null,
    Truth(bool),
    /// Read from its text as what the reader wants.
    Number,
    Text(String),
    List(Vec<Json<'a>>),
    /// In the order of the keys, of which none comes twice.
    Object(Vec<(String, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0, values: 0 };
        let json = reader.value(0)?;
        reader.skip_space();
        if reader.at < text.len() {
            return Err(reader.wrong("nothing more"));
        }
        Ok(json)
    }

    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Keys and values of an object, in the order of the keys.
    pub fn entries(&self) -> Option<&[(String, Self)]> {
        if let Value::Object(entries) = &self.value { Some(entries) } else { None }
    }

    /// The values of a list.
    pub fn list(&self) -> Option<&[Self]> {
        if let Value::List(list) = &self.value { Some(list) } else { None }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub fn truth(&self) -> Option<bool> {
        if let Value::Truth(truth) = self.value { Some(truth) } else { None }
    }

    /// A finite number.
    pub fn number(&self) -> Option<f64> {
        let number = matches!(self.value, Value::Number).then(|| decimal::number(self.text));
        number.filter(|number| number.is_finite())
    }

    /// A whole number, written as one.
    pub fn whole(&self) -> Option<i64> {
        matches!(self.value, Value::Number).then(|| self.text.parse().ok())?
    }

    /// A whole number from 0, written as one.
    pub fn count(&self) -> Option<usize> {
        matches!(self.value, Value::Number).then(|| self.text.parse().ok())?
    }
}

/// As in the text that it was read from.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, expected: &str) -> String {
        match self.text[self.at..].chars().next() {
            Some(found) => {
                // Lines and what else moves a terminal's cursor are no part of a message.
                let found = if found < ' ' { '\u{fffd}' } else { found };
                format!("expected {expected} at byte {}, found '{found}'", self.at)
            }
            None => format!("expected {expected}, found the end at byte {}", self.at),
        }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Takes a byte if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte && self.at < self.text.len();
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.skip_space();
        self.values += 1;
        if depth > DEEPEST || self.values > MOST {
            return Err(self.wrong("fewer values, and less deep ones"));
        }
        let start = self.at;
        let value = match self.peek() {
            b'{' => self.object(depth)?,
            b'[' => self.list(depth)?,
            b'"' => Value::Text(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            _ => self.word()?,
        };
        Ok(Json { text: &self.text[start..self.at], value })
    }

    fn word(&mut self) -> Result<Value<'a>, String> {
        let words =
            [("null", Value::Null), ("true", Value::Truth(true)), ("false", Value::Truth(false))];
        for (word, value) in words {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.wrong("a value"))
    }

    fn digits(&mut self) -> Result<(), String> {
        if !self.peek().is_ascii_digit() {
            return Err(self.wrong("a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'a>, String> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Value::Number)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, String> {
        self.at += 1;
        let mut list = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::List(list));
            }
            if !self.take(b',') {
                return Err(self.wrong("',' or ']'"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, String> {
        self.at += 1;
        let mut entries: Vec<(String, Json<'a>)> = Vec::new();
        self.skip_space();
        if !self.take(b'}') {
            loop {
                self.skip_space();
                if self.peek() != b'"' {
                    return Err(self.wrong("a key"));
                }
                let key = self.string()?;
                self.skip_space();
                if !self.take(b':') {
                    return Err(self.wrong("':'"));
                }
                entries.push((key, self.value(depth + 1)?));
                self.skip_space();
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.wrong("',' or '}'"));
                }
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("'{}' comes twice", pair[0].0)),
            None => Ok(Value::Object(entries)),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .bytes()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            if self.take(b'"') {
                return Ok(text);
            }
            if !self.take(b'\\') {
                return Err(self.wrong("'\"'"));
            }
            text.push(self.escaped()?);
        }
    }

    /// What a backslash was before.
    fn escaped(&mut self) -> Result<char, String> {
        let found = match self.peek() {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            byte @ (b'"' | b'\\' | b'/') => byte.into(),
            b'u' => {
                self.at += 1;
                let mut code = self.four_digits()?;
                if (0xd800..0xdc00).contains(&code) && self.take(b'\\') && self.take(b'u') {
                    let low = self.four_digits()?;
                    code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                }
                return char::from_u32(code).ok_or_else(|| self.wrong("both halves of a sign"));
            }
            _ => return Err(self.wrong("an escaped sign")),
        };
        self.at += 1;
        Ok(found)
    }

    fn four_digits(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()).to_digit(16);
            code = 16 * code + digit.ok_or_else(|| self.wrong("a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let texts = [
            r#" {"a": [1, -2.5e-3, 0, 1E+9], "b": {"c": null}, "d" : "x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"} "#,
            "[]",
            "{}",
            "[true, false, null]",
            "18446744073709551615",
            "-0",
            "\"\"",
        ];
        fn same(ours: &Json<'_>, theirs: &serde_json::Value) {
            use serde_json::Value as Theirs;
            match theirs {
                Theirs::Null => assert!(ours.is_null()),
                Theirs::Bool(truth) => assert_eq!(ours.truth(), Some(*truth)),
                Theirs::Number(number) => assert_eq!(ours.number(), number.as_f64()),
                Theirs::String(text) => assert_eq!(ours.text(), Some(text.as_str())),
                Theirs::Array(list) => {
                    assert_eq!(ours.list().unwrap().len(), list.len());
                    ours.list().unwrap().iter().zip(list).for_each(|(a, b)| same(a, b));
                }
                Theirs::Object(map) => {
                    assert_eq!(ours.entries().unwrap().len(), map.len());
                    map.iter().for_each(|(key, value)| same(ours.get(key).unwrap(), value));
                }
            }
        }
        for text in texts {
            same(&Json::parse(text).unwrap(), &serde_json::from_str(text).unwrap());
        }
        let json = Json::parse("[9007199254740993, 1.0, -1, 1e999]").unwrap();
        let list = json.list().unwrap();
        assert_eq!(list[0].count(), Some((1 << 53) + 1));
        assert_eq!((list[1].count(), list[1].number()), (None, Some(1.0)));
        assert_eq!((list[2].count(), list[2].whole()), (None, Some(-1)));
        assert_eq!((list[3].number(), list[3].to_string()), (None, "1e999".to_string()));
    }

    #[test]
    fn refuses_what_is_none() {
        let deep = "[".repeat(100_000);
        let many = format!("[{}0]", "0,".repeat(MOST));
        let texts = [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "+1",
            ".5",
            "1e",
            "nul",
            "NaN",
            "Infinity",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\n\"",
            "\"\\udc00\"",
            "1 2",
            "[] []",
            "{\"a\":1,\"a\":2}",
            "é",
            &deep,
            &many,
        ];
        for text in texts {
            assert!(Json::parse(text).is_err(), "{:.20}", text);
        }
    }
}
