// SPDX-License-Identifier: MIT
//! The three pieces of real work whose shares are planted. Each is one function that calls nothing, not even something
//! inlined: plain loops, arrays and operators, so that all its time is its own by every way of counting. Iterators and
//! `wrapping_mul` would each be an inlined call. Overflow wraps, as release builds do.

pub const COUNT: usize = 3;

/// As the profile names them.
pub const SYMBOLS: [&str; COUNT] =
    ["backend::work::hash_rounds", "backend::work::sort_comments", "backend::work::render_markdown"];

#[derive(Clone, Copy)]
pub enum Work {
    Hash = 0,
    Sort = 1,
    Markdown = 2,
}

const BLOCK_WORDS: usize = 16;

/// Hash a block of 16 words, chained over so many rounds: what checking a password or a signature costs.
#[inline(never)]
pub fn hash_rounds(seed: u64, rounds: u64) -> u64 {
    let mut block = [seed; BLOCK_WORDS];
    let mut hash = seed;
    let mut round = 0;

    while round < rounds {
        let mut i = 0;
        while i < BLOCK_WORDS {
            hash ^= block[i];
            hash = hash * 0x9e37_79b9_7f4a_7c15; // 2^64 / golden ratio: odd, well mixed
            hash ^= hash >> 29;
            block[i] = hash;
            i += 1;
        }
        round += 1;
    }
    hash
}

const COMMENTS: usize = 64;

/// Order 64 comments by score, so many times with new scores. Shell sort, gaps 13, 4, 1.
#[inline(never)]
pub fn sort_comments(seed: u64, passes: u64) -> u64 {
    let mut scores = [0u32; COMMENTS];
    let mut ids = [0u32; COMMENTS];
    let mut random = seed | 1;
    let mut sum = 0u64;
    let mut pass = 0;

    while pass < passes {
        let mut i = 0;
        while i < COMMENTS {
            random = random * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407; // an LCG of Knuth's
            scores[i] = (random >> 33) as u32;
            ids[i] = i as u32;
            i += 1;
        }
        let mut gap = 13;
        while gap > 0 {
            i = gap;
            while i < COMMENTS {
                let (score, id) = (scores[i], ids[i]);
                let mut at = i;
                while at >= gap && scores[at - gap] < score {
                    scores[at] = scores[at - gap];
                    ids[at] = ids[at - gap];
                    at -= gap;
                }
                scores[at] = score;
                ids[at] = id;
                i += 1;
            }
            gap /= 3;
        }
        sum += ids[0] as u64 + scores[COMMENTS - 1] as u64;
        random ^= sum;
        pass += 1;
    }
    sum
}

static COMMENT: &[u8; 128] = b"I *fully* agree with the _first_ answer, but `a < b && b < c` is not what the page says. \
See *chapter 4*: escape < and > and & a";

const HTML_BYTES: usize = 1024;

/// Turn a comment into HTML, so many times, byte by byte.
#[inline(never)]
pub fn render_markdown(seed: u64, passes: u64) -> u64 {
    let mut html = [0u8; HTML_BYTES];
    let mut sum = seed;
    let mut pass = 0;

    while pass < passes {
        let (mut out, mut marks, mut i) = (0, 0usize, 0);
        while i < 128 && out + 8 < HTML_BYTES {
            let c = COMMENT[i];
            let text: &[u8; 6] = match c {
                b'*' if marks & 1 == 0 => b"<b>\0\0\0",
                b'*' => b"</b>\0\0",
                b'_' if marks & 1 == 0 => b"<i>\0\0\0",
                b'_' => b"</i>\0\0",
                b'`' => b"<tt>\0\0",
                b'<' => b"&lt;\0\0",
                b'>' => b"&gt;\0\0",
                b'&' => b"&amp;\0",
                _ => b"\0\0\0\0\0\0",
            };
            i += 1;
            if text[0] == 0 {
                html[out] = c ^ (sum & 1) as u8;
                out += 1;
                continue;
            }
            marks += 1;
            let mut at = 0;
            while at < 6 && text[at] != 0 {
                html[out] = text[at];
                out += 1;
                at += 1;
            }
        }
        i = 0;
        while i < out {
            sum = sum * 31 + html[i] as u64;
            i += 16;
        }
        pass += 1;
    }
    sum
}

/// Do so many passes of one piece; the result depends on all of them.
pub fn work_do(work: Work, seed: u64, passes: u64) -> u64 {
    match work {
        Work::Hash => hash_rounds(seed, passes),
        Work::Sort => sort_comments(seed, passes),
        Work::Markdown => render_markdown(seed, passes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_depend_on_every_pass() {
        for work in [Work::Hash, Work::Sort, Work::Markdown] {
            assert_ne!(work_do(work, 7, 10), work_do(work, 7, 11));
            assert_eq!(work_do(work, 7, 10), work_do(work, 7, 10));
        }
    }
}
