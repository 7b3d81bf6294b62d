//! The beginning of a long text: as much of it as decides the first tokens.
//!
//! A tokenizer turns the whole text into tokens, with dozens of bytes of bookkeeping for each
//! byte, and only then drops what is beyond the limit. The tokenizer of BERT can do with less:
//! it tokenizes word by word, and where words end can be seen from one character.
//!
//! - The text may be cut before a character that never belongs to the word before it.
//! - A word of more characters than the vocabulary is searched for becomes one token, "unknown":
//!   the rest of the word changes nothing.
//! - Of several spaces one is enough.

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use unicode_categories::UnicodeCategories;

/// Finds the beginning of a text that decides its first tokens.
pub(crate) struct Beginning {
    /// Characters of the longest word that is not unknown.
    longest_word: usize,
    splits_chinese: bool,
    /// Whether the text is lower-cased as a whole afterwards.
    lower_case: bool,
    /// ASCII characters before which a text may be cut.
    cuts: [bool; 128],
}

impl Beginning {
    /// `None` for tokenizers of another kind, and for those with tokens that may contain spaces or
    /// letters of a longer word.
    pub fn new(tokenizer: &tokenizers::Tokenizer, lower_case: bool) -> Option<Self> {
        let (
            Some(NormalizerWrapper::BertNormalizer(normaliser)),
            Some(PreTokenizerWrapper::BertPreTokenizer(_)),
            ModelWrapper::WordPiece(model),
        ) = (tokenizer.get_normalizer(), tokenizer.get_pre_tokenizer(), tokenizer.get_model())
        else {
            return None;
        };
        let mut cuts = [false; 128];
        for code in 0..128u8 {
            // After the others, lower-casing looks at what follows: whether Σ ends a word.
            let looks_on = lower_case && b"'.:^`".contains(&code);
            cuts[code as usize] =
                b" \t\n\r".contains(&code) || code.is_ascii_punctuation() && !looks_on;
        }
        for token in tokenizer.get_added_tokens_decoder().values() {
            let bytes = token.content.as_bytes();
            let plain = token.content.is_ascii() && !bytes.iter().any(u8::is_ascii_whitespace);
            if !plain
                || token.single_word
                || bytes.len() > model.max_input_chars_per_word
                || !bytes.first().is_some_and(u8::is_ascii_punctuation)
            {
                return None;
            }
            // A cut inside of it would be seen.
            bytes[1..].iter().for_each(|byte| cuts[*byte as usize] = false);
        }
        Some(Self {
            longest_word: model.max_input_chars_per_word,
            splits_chinese: normaliser.handle_chinese_chars,
            lower_case,
            cuts,
        })
    }

    /// A text of at least `bytes` bytes with the same first tokens as `text`, as many as it has;
    /// and whether it has all of them.
    pub fn of(&self, text: &str, bytes: usize) -> (String, bool) {
        let mut out = String::with_capacity(bytes);
        let (mut word, mut after_space) = (0, false);
        for c in text.chars() {
            if out.len() >= bytes && self.may_cut_before(c) {
                return (self.lower_cased(out), false);
            }
            let space = matches!(c, ' ' | '\t' | '\n' | '\r');
            let part = part_of_word(c);
            word = part.map_or(0, |characters| word + characters);
            let unknown = part.is_some() && word > self.longest_word + 1;
            if !(unknown || space && after_space) {
                out.push(c);
            }
            after_space = space;
        }
        (self.lower_cased(out), true)
    }

    fn lower_cased(&self, text: String) -> String {
        if self.lower_case { text.to_lowercase() } else { text }
    }

    fn may_cut_before(&self, c: char) -> bool {
        match self.cuts.get(c as usize) {
            Some(cut) => *cut,
            None => self.splits_chinese && is_chinese(c),
        }
    }
}

/// How many characters this one surely adds to the word that it is in; `None` if it may end the
/// word.
fn part_of_word(c: char) -> Option<usize> {
    if c == char::REPLACEMENT_CHARACTER || is_chinese(c) {
        None
    } else if c.is_mark_nonspacing() {
        Some(0)
    } else if c.is_alphabetic() || c.is_numeric() {
        Some(1)
    } else {
        None
    }
}

/// The characters that the tokenizer puts spaces around.
fn is_chinese(c: char) -> bool {
    matches!(
        c as u32,
        0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

    use super::*;

    const MAX: usize = 24;

    fn tokenizer(lower_case: bool) -> Tokenizer {
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let letters: Vec<String> = ('!'..='~')
            .chain('α'..='ω')
            .chain('ก'..='๛')
            .chain('中'..='丰')
            .map(String::from)
            .collect();
        let parts = letters.iter().map(|letter| format!("##{letter}"));
        let words = special.map(String::from).into_iter().chain(letters.clone()).chain(parts);
        let vocab: std::collections::BTreeMap<String, usize> =
            words.enumerate().map(|(id, word)| (word, id)).collect();
        let added = special.iter().enumerate().map(|(id, content)| {
            json!({"id": id, "content": content, "special": true, "normalized": false,
                   "single_word": false, "lstrip": false, "rstrip": false})
        });
        let file = json!({
            "version": "1.0",
            "added_tokens": added.collect::<Vec<_>>(),
            "normalizer": {"type": "BertNormalizer", "clean_text": true,
                           "handle_chinese_chars": true, "strip_accents": null,
                           "lowercase": lower_case},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab,
                      "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
        });
        file.to_string().parse().unwrap()
    }

    #[test]
    fn beginnings_have_the_first_tokens_of_whole_texts() {
        let pieces = [
            "word",
            " ",
            "  \t\n",
            "a",
            "ΑΣ",
            "Σ",
            "σ",
            "é",
            "e\u{301}",
            "\u{301}\u{323}",
            "中",
            "丁文字",
            "\u{f900}",
            "กาไก่",
            "ภาษาไทย",
            "हिन्दी",
            "العربية",
            "\u{200d}",
            "\u{200b}",
            "\u{fe0f}",
            "😀",
            "👩\u{200d}🚀",
            "≠",
            "\u{338}",
            "\u{1fef}",
            "\u{37e}",
            "。",
            "、",
            "\u{a0}",
            "\u{3000}",
            "\u{2028}",
            "\u{85}",
            "\0",
            "\u{fffd}",
            ".",
            "'",
            ":",
            "^",
            "`",
            "=",
            "-",
            "\"",
            "[",
            "]",
            "[CLS]",
            "[MASK",
            "[mask]",
            "{\"k\":1},",
            "한국어",
            "\u{1100}\u{1161}",
            "İ",
            "ß",
            "ﬃ",
            "Ⅷ",
            "①",
            "_",
            "€",
        ];
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        for lower_case in [false, true] {
            let tokenizer = tokenizer(lower_case);
            let beginning = Beginning::new(&tokenizer, !lower_case).unwrap();
            for round in 0..200 {
                let mut text = String::new();
                let kinds: Vec<&str> =
                    (0..1 + next(6)).map(|_| pieces[next(pieces.len())]).collect();
                while text.len() < 4000 {
                    let piece = kinds[next(kinds.len())];
                    let times = [1, 1, 2, 90 + next(40), 300][next(5)];
                    text += &piece.repeat(if round % 2 == 0 { 1 } else { times });
                }
                let whole = beginning.lower_cased(text.clone());
                let whole = tokenizer.encode_fast(whole, false).unwrap();
                for bytes in [1, 40, 100, 700] {
                    let (start, complete) = beginning.of(&text, bytes);
                    let start = tokenizer.encode_fast(start, false).unwrap();
                    let count = if complete { whole.len() } else { start.len() };
                    assert_eq!(start.get_ids(), &whole.get_ids()[..count], "{text:?}, {bytes}");
                }
            }
        }
    }

    #[test]
    fn every_character_stays_in_its_word_as_far_as_beginnings_suppose() {
        for lower_case in [false, true] {
            let tokenizer = tokenizer(lower_case);
            let (normaliser, splitter) =
                (tokenizer.get_normalizer().unwrap(), tokenizer.get_pre_tokenizer().unwrap());
            for c in char::MIN..=char::MAX {
                let Some(characters) = part_of_word(c) else { continue };
                let mut text = PreTokenizedString::from(format!("x{c}x"));
                text.normalize(|part| tokenizers::Normalizer::normalize(normaliser, part)).unwrap();
                splitter.pre_tokenize(&mut text).unwrap();
                let words = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
                assert_eq!(words.len(), 1, "{c:?}");
                assert!(words[0].0.chars().count() >= 2 + characters, "{c:?}");
            }
        }
    }

    #[test]
    fn long_words_and_spaces_are_cut_short() {
        let beginning = Beginning::new(&tokenizer(true), false).unwrap();
        for piece in ["x", "ไท", " ", "अ"] {
            let (start, complete) = beginning.of(&piece.repeat(1 << 20), 16 * MAX);
            assert!(complete && start.len() < 1000, "{piece:?}: {}", start.len());
        }
        let (start, complete) = beginning.of(&"中,".repeat(1 << 20), 16 * MAX);
        assert!(!complete && start.len() < 16 * MAX + 8);
    }

    #[test]
    fn tokenizers_that_it_does_not_know_are_left_alone() {
        let mut other = tokenizer(true);
        other.add_tokens([tokenizers::AddedToken::from("a word", false)]).unwrap();
        assert!(Beginning::new(&other, false).is_none());
    }
}
