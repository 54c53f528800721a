//! Two traces side by side, with the first difference marked.
//!
//! May touch: nothing but texts.

use std::fmt::Write as _;

/// How wide a column is before its lines are broken.
const WIDTH: usize = 72;

/// The variant that goes as ours for the longest time.
pub(crate) fn nearest<'a>(variants: &'a [Vec<String>], own: &[String]) -> &'a [String] {
    let in_common = |variant: &&Vec<String>| variant.iter().zip(own).take_while(|(one, other)| one == other).count();
    variants.iter().max_by_key(in_common).map_or(&[], Vec::as_slice)
}

/// `theirs` on the left, ours on the right; the first lines that differ stand behind `>>`.
pub(crate) fn side_by_side(theirs: &[String], own: &[String], name: &str) -> String {
    let mut text = format!("\n   {name:WIDTH$} | halfclose\n");
    let mut marked = false;
    for index in 0..theirs.len().max(own.len()) {
        let left = theirs.get(index).map_or("", String::as_str);
        let right = own.get(index).map_or("", String::as_str);
        let first = !marked && left != right;
        marked |= first;
        let (left, right) = (broken(left), broken(right));
        for row in 0..left.len().max(right.len()) {
            let mark = if first && row == 0 { ">>" } else { "  " };
            let left = left.get(row).map_or("", String::as_str);
            let right = right.get(row).map_or("", String::as_str);
            let _ = writeln!(text, "{mark} {left:WIDTH$} | {right}");
        }
    }
    text
}

/// A line in rows of at most `WIDTH` characters.
fn broken(line: &str) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    characters.chunks(WIDTH).map(|row| row.iter().collect()).collect()
}
