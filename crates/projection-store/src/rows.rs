//! Reading the values of rows.
//!
//! SQLite keeps a value of any type in any column, and programs wrote texts as bytes or numbers of
//! NumPy as their memory. Whatever such a value can only mean is read as that.

use rusqlite::Row;
use rusqlite::types::ValueRef;

/// A type that values of a column are read as.
pub(crate) trait Column: Sized {
    /// The value; `None` if it can't be read as one of this type.
    fn read(value: ValueRef<'_>) -> Option<Self>;
}

impl Column for String {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Null => None,
        }
    }
}

impl Column for i64 {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Integer(number) => Some(number),
            // NumPy's int64 and int32.
            ValueRef::Blob(bytes) => match *bytes {
                [..] if bytes.len() == 8 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
                [..] if bytes.len() == 4 => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Column for f64 {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Real(number) => Some(number),
            ValueRef::Integer(number) => Some(number as f64),
            // NumPy's float32.
            ValueRef::Blob(bytes) => Some(f32::from_le_bytes(bytes.try_into().ok()?).into()),
            _ => None,
        }
    }
}

impl Column for usize {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        i64::read(value)?.try_into().ok()
    }
}

impl Column for bool {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        Some(i64::read(value)? != 0)
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        Some(T::read(value))
    }
}

/// The value of a row in the column called `name`.
pub(crate) fn value<T: Column>(row: &Row<'_>, name: &str) -> Option<T> {
    T::read(row.get_ref(name).ok()?)
}

/// A type that rows are read as.
pub(crate) trait FromRow: Sized {
    /// The row; `None` if one of its values can't be read.
    fn from_row(row: &Row<'_>) -> Option<Self>;
}

macro_rules! tuples {
    ($($($type:ident $at:tt),+;)+) => {$(
        impl<$($type: Column),+> FromRow for ($($type,)+) {
            fn from_row(row: &Row<'_>) -> Option<Self> {
                Some(($($type::read(row.get_ref($at).ok()?)?,)+))
            }
        }
    )+};
}
tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
}

/// Reads a struct from the columns of a row that are called like its fields.
macro_rules! from_row {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl crate::rows::FromRow for $type {
            fn from_row(row: &rusqlite::Row<'_>) -> Option<Self> {
                Some(Self { $($field: crate::rows::value(row, stringify!($field))?),* })
            }
        }
    };
}
pub(crate) use from_row;
