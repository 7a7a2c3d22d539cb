//! Short forms of English given names. Written by hand from common knowledge; small on purpose: what is not here still
//! meets by spelling and sound.

/// A full name and what its bearers are called.
const TABLE: &[(&str, &[&str])] = &[
    ("abigail", &["abby", "abbie", "gail"]),
    ("albert", &["al", "bert", "bertie"]),
    ("alexander", &["alex", "alec", "sandy", "xander", "sasha"]),
    ("alexandra", &["alex", "sandra", "sandy", "lexi", "sasha"]),
    ("alfred", &["alf", "alfie", "fred"]),
    ("andrew", &["andy", "drew"]),
    ("anthony", &["tony", "ant"]),
    ("arthur", &["art", "artie"]),
    ("barbara", &["barb", "babs", "barbie"]),
    ("benjamin", &["ben", "benny", "benji"]),
    ("catherine", &["cathy", "cath", "kate", "kathy", "cat"]),
    ("charles", &["charlie", "chuck", "chas"]),
    ("charlotte", &["charlie", "lottie", "lotte"]),
    ("christine", &["chris", "chrissie", "tina"]),
    ("christopher", &["chris", "kit", "topher"]),
    ("daniel", &["dan", "danny"]),
    ("david", &["dave", "davy"]),
    ("deborah", &["deb", "debbie"]),
    ("dorothy", &["dot", "dottie", "dolly"]),
    ("edward", &["ed", "eddie", "ted", "teddy", "ned"]),
    (
        "elizabeth",
        &[
            "liz", "lizzie", "beth", "betty", "bess", "eliza", "elsie", "libby", "lisa",
        ],
    ),
    ("emily", &["em", "emmy", "millie"]),
    ("eugene", &["gene"]),
    ("florence", &["flo", "florrie", "flossie"]),
    ("frances", &["fran", "frankie", "fanny"]),
    ("francis", &["frank", "frankie"]),
    ("frederick", &["fred", "freddie", "freddy"]),
    ("gabriel", &["gabe"]),
    ("gerald", &["gerry", "jerry"]),
    ("gregory", &["greg"]),
    ("harold", &["harry", "hal"]),
    ("helen", &["nell", "nellie", "lena"]),
    ("henry", &["harry", "hank", "hal"]),
    ("isabella", &["bella", "izzy", "isa"]),
    ("jacob", &["jake"]),
    ("jacqueline", &["jackie"]),
    ("james", &["jim", "jimmy", "jamie"]),
    ("jennifer", &["jen", "jenny", "jennie"]),
    ("jessica", &["jess", "jessie"]),
    ("john", &["jack", "johnny", "jon"]),
    ("jonathan", &["jon", "jonny", "nathan"]),
    ("joseph", &["joe", "joey"]),
    ("joshua", &["josh"]),
    ("judith", &["judy", "jude"]),
    ("katherine", &["kate", "kathy", "katie", "kat", "kay"]),
    ("kenneth", &["ken", "kenny"]),
    ("lawrence", &["larry", "laurie"]),
    ("leonard", &["len", "lenny", "leo"]),
    ("lillian", &["lily", "lil"]),
    ("louis", &["lou", "louie"]),
    ("louise", &["lou", "lulu"]),
    ("madeline", &["maddie", "maddy"]),
    (
        "margaret",
        &[
            "maggie", "meg", "peggy", "peg", "marge", "margie", "daisy", "greta",
        ],
    ),
    ("martha", &["marty", "mattie", "patty"]),
    ("mary", &["molly", "polly", "mamie", "may"]),
    ("matthew", &["matt", "matty"]),
    ("michael", &["mike", "mick", "mickey", "mikey"]),
    ("michelle", &["shelly", "shell"]),
    ("nancy", &["nan"]),
    ("natalie", &["nat", "tally"]),
    ("nathaniel", &["nat", "nate", "nathan"]),
    ("nicholas", &["nick", "nicky", "nico"]),
    ("nicole", &["nicky", "nikki"]),
    ("olivia", &["liv", "livvy", "olly"]),
    ("oliver", &["ollie", "olly"]),
    ("pamela", &["pam"]),
    ("patricia", &["pat", "patty", "tricia", "trish"]),
    ("patrick", &["pat", "paddy", "rick"]),
    ("peter", &["pete"]),
    ("philip", &["phil", "pip"]),
    ("rachel", &["rach", "shelly"]),
    ("raymond", &["ray"]),
    ("rebecca", &["becky", "becca"]),
    ("richard", &["dick", "rick", "ricky", "rich", "richie"]),
    ("robert", &["bob", "bobby", "rob", "robbie", "bert"]),
    ("ronald", &["ron", "ronnie"]),
    ("samantha", &["sam", "sammy"]),
    ("samuel", &["sam", "sammy"]),
    ("sarah", &["sally", "sadie"]),
    ("stephanie", &["steph", "steffi"]),
    ("stephen", &["steve", "stevie"]),
    ("steven", &["steve", "stevie"]),
    ("susan", &["sue", "susie", "suzy"]),
    ("theodore", &["ted", "teddy", "theo"]),
    ("theresa", &["terry", "tess", "tessa", "tracy"]),
    ("thomas", &["tom", "tommy"]),
    ("timothy", &["tim", "timmy"]),
    ("victoria", &["vicky", "vicki", "tori"]),
    ("vincent", &["vince", "vinny"]),
    ("virginia", &["ginny", "ginger"]),
    ("walter", &["walt", "wally"]),
    ("william", &["bill", "billy", "will", "willy", "liam"]),
    ("zachary", &["zach", "zack"]),
];

/// The full names that a folded given name is, or is short for.
pub(super) fn full_names(word: &str) -> Vec<&'static str> {
    TABLE
        .iter()
        .filter(|(full, short)| *full == word || short.contains(&word))
        .map(|(full, _)| *full)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::sound::fold;

    #[test]
    fn the_table_is_folded_and_says_nothing_twice() {
        let mut seen = std::collections::HashSet::new();
        for (full, short) in TABLE {
            assert!(seen.insert(full), "{full} twice");
            for word in short.iter().chain([full]) {
                assert_eq!(fold(word), **word);
            }
            let each: std::collections::HashSet<_> = short.iter().collect();
            assert_eq!(each.len(), short.len(), "{full}");
            assert!(!short.contains(full), "{full}");
        }
        assert_eq!(full_names("bert"), ["albert", "robert"]);
        assert_eq!(full_names("wolfgang"), Vec::<&str>::new());
    }
}
