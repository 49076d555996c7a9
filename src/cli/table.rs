//! Columns for people.

/// How far columns are apart.
const GAP: usize = 2;

/// A heading and its rows in columns, each as wide as its widest; the last is as long as it is.
pub(super) fn table<const N: usize>(
    heading: &[String; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heading.clone()).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<0$}", width + GAP);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
