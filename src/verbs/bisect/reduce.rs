//! Delta debugging: from many things that help together, to a few of which each is needed
//! (A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE
//! 28(2), 2002: the algorithm ddmin). Pure.
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::Result;

/// The smallest set of the numbers below `count` for which `helps` holds that removing any one
/// part of finds no smaller one for: of one number, if one helps by itself. All of them together
/// help, and none do not. Where two sets of a size help, the one with the lower numbers is found.
///
/// # Errors
/// As `helps`.
pub(super) fn reduce(
    count: usize,
    helps: &mut dyn FnMut(&[usize]) -> Result<bool>,
) -> Result<Vec<usize>> {
    let mut known = BTreeMap::new();
    let mut asked = |set: &[usize]| -> Result<bool> {
        if let Some(answer) = known.get(set) {
            return Ok(*answer);
        }
        let answer = helps(set)?;
        known.insert(set.to_vec(), answer);
        Ok(answer)
    };
    let mut left: Vec<usize> = (0..count).collect();
    let mut parts = 2;
    while left.len() > 1 {
        let size = left.len().div_ceil(parts);
        let chunks: Vec<Vec<usize>> = left.chunks(size).map(<[usize]>::to_vec).collect();
        let mut smaller = None;
        for chunk in &chunks {
            if smaller.is_none() && asked(chunk)? {
                smaller = Some((chunk.clone(), 2));
            }
        }
        // Of two parts each is what the other leaves.
        for chunk in chunks.iter().filter(|_| chunks.len() > 2) {
            if smaller.is_none() {
                let rest: Vec<usize> = without(&left, chunk);
                smaller = asked(&rest)?.then_some((rest, parts.saturating_sub(1).max(2)));
            }
        }
        match smaller {
            Some((set, next)) => (left, parts) = (set, next),
            None if parts >= left.len() => break,
            None => parts = (parts * 2).min(left.len()),
        }
    }
    Ok(left)
}

fn without(set: &[usize], part: &[usize]) -> Vec<usize> {
    let kept = set.iter().filter(|number| !part.contains(number));
    kept.copied().collect()
}

/// How many questions [`reduce`] asks at most if one number helps by itself.
pub(super) fn most_questions(count: usize) -> usize {
    let halvings = usize::BITS - count.saturating_sub(1).leading_zeros();
    usize::try_from(halvings).unwrap_or_default() * 2
}
