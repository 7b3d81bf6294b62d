//! What crosses the border between JavaScript and the engine: inputs and outputs.

use std::cell::RefCell;
use std::ptr;

use projection_core::Result;

/// Input of up to so many bytes keeps its memory for the next call.
const KEPT: usize = 1 << 20;

/// What the caller wrote for the next call.
#[derive(Default)]
pub(crate) struct Input {
    pub bytes: Vec<u8>,
    pub floats: Vec<f32>,
    pub ids: Vec<i64>,
}

/// What the last call returned.
#[derive(Default)]
pub(crate) struct Output {
    pub text: String,
    pub floats: Vec<f32>,
    pub ids: Vec<i64>,
}

thread_local! {
    static INPUT: RefCell<Input> = RefCell::default();
    static OUTPUT: RefCell<Output> = RefCell::default();
}

/// Makes room for `count` bytes of input and returns where it begins; null if there is no
/// memory for them.
#[unsafe(no_mangle)]
pub extern "C" fn input_bytes(count: usize) -> *mut u8 {
    INPUT.with_borrow_mut(|input| room(&mut input.bytes, count))
}

/// [`input_bytes`] for single precision numbers.
#[unsafe(no_mangle)]
pub extern "C" fn input_floats(count: usize) -> *mut f32 {
    INPUT.with_borrow_mut(|input| room(&mut input.floats, count))
}

/// [`input_bytes`] for ids.
#[unsafe(no_mangle)]
pub extern "C" fn input_ids(count: usize) -> *mut i64 {
    INPUT.with_borrow_mut(|input| room(&mut input.ids, count))
}

fn room<T: Clone + Default>(values: &mut Vec<T>, count: usize) -> *mut T {
    if values.capacity() > count.max(KEPT / size_of::<T>()) {
        *values = Vec::new();
    }
    values.clear();
    if values.try_reserve_exact(count).is_err() {
        return ptr::null_mut();
    }
    values.resize(count, T::default());
    values.as_mut_ptr()
}

/// Where the output's text begins. After an error: the name of its kind, a zero byte, and the
/// message.
#[unsafe(no_mangle)]
pub extern "C" fn output_text() -> *const u8 {
    OUTPUT.with_borrow(|output| output.text.as_ptr())
}

/// Bytes of the output's text.
#[unsafe(no_mangle)]
pub extern "C" fn output_text_length() -> usize {
    OUTPUT.with_borrow(|output| output.text.len())
}

/// Where the output's numbers begin.
#[unsafe(no_mangle)]
pub extern "C" fn output_floats() -> *const f32 {
    OUTPUT.with_borrow(|output| output.floats.as_ptr())
}

/// How many numbers the output has.
#[unsafe(no_mangle)]
pub extern "C" fn output_floats_length() -> usize {
    OUTPUT.with_borrow(|output| output.floats.len())
}

/// Where the output's ids begin, of which there are as many as numbers.
#[unsafe(no_mangle)]
pub extern "C" fn output_ids() -> *const i64 {
    OUTPUT.with_borrow(|output| output.ids.as_ptr())
}

/// Runs a call. Returns whether it went well; if not, the error is the output's text.
pub(crate) fn run(work: impl FnOnce(&mut Input, &mut Output) -> Result<()>) -> bool {
    INPUT.with_borrow_mut(|input| {
        OUTPUT.with_borrow_mut(|output| {
            let result = work(input, output);
            if let Err(error) = &result {
                output.text = format!("{}\0{error}", error.kind().name());
            }
            result.is_ok()
        })
    })
}
