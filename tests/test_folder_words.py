"""What the name of a folder says, in many languages and in every form of writing it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blemish.dataset.folder_words import NameMeaning, meaning_of, vocabulary

GOOD = {
    "English": "good OK okay normal accepted passed no_defects defect-free undamaged not_bad",
    "German": "gut Gutteile i.O. iO IO fehlerfrei ohne_Fehler unbeschädigt unbeschaedigt",
    "French": "bon bonnes conformes sans_défaut sans_defaut",
    "Spanish": "bueno buenas aprobados sin_defectos",
    "Italian": "buono buoni idoneo non_difettoso",
    "Portuguese": "bom aprovado sem_defeito",
    "Dutch": "goed goedgekeurd geen_fouten",
    "Polish": "dobre zgodne bez_wady",
    "Czech": "dobrý dobre shodné",
    "Nordic": "godkända bra god godkendt",
    "Hungarian": "jó jo megfelelő",
    "Romanian": "bun bune",
    "Turkish": "iyi sağlam saglam",
    "Russian": "годные хорошие khoroshie без_дефектов",
    "Ukrainian": "добрі придатні",
    "Chinese": "合格 良品 合格品 无缺陷 正常样本",
    "Japanese": "良品 正常 異常なし",
    "Korean": "양품 정상 합격품",
}
DEFECTIVE = {
    "English": "bad NG nok not_ok not-good NotOK no_good defects defective_parts rejects scrap",
    "German": "n.i.O. niO NIO n_io schlecht Schlechtteile Ausschuss Fehlerbild nicht_ok nicht_i.O.",
    "French": "mauvais défectueux defauts rebut non_conforme pas_bon",
    "Spanish": "malo defectuosos rechazados no_conforme",
    "Italian": "difettoso scarti non_conforme non_idoneo",
    "Portuguese": "ruim defeituosos reprovado",
    "Dutch": "slecht afgekeurd foute niet_goed",
    "Polish": "złe zle wadliwe braki niezgodne",
    "Czech": "vadné spatne zmetky neshodné",
    "Nordic": "dålig daalig kasserade underkänd fejl ikke_ok",
    "Hungarian": "rossz hibás selejt nem_megfelelő",
    "Romanian": "rebuturi neconforme",
    "Turkish": "kötü hatali kusurlu uygun_değil",
    "Russian": "брак дефектные негодные не_годные plokhie",
    "Ukrainian": "браковані погані непридатні",
    "Chinese": "不良 不合格 不合格品 缺陷 异常",
    "Japanese": "不良品 異常 欠陥",
    "Korean": "불량 불합격 결함",
}
DOUBTFUL = {
    "English": "maybe maybe_bad unknown? check to_check review doubtful good_or_bad probably_ok",
    "German": "verdächtig verdaechtig fraglich unklar zu_prüfen Nacharbeit",
    "French": "peut-être douteux à_vérifier",
    "Spanish": "dudoso sospechosas revisar",
    "Italian": "dubbio forse sospetti",
    "Portuguese": "duvidoso suspeito talvez",
    "Dutch": "twijfel misschien",
    "Polish": "wątpliwe podejrzane",
    "Czech": "možná podezřelé",
    "Nordic": "tveksamma måske osäker",
    "Hungarian": "kétes gyanús",
    "Romanian": "îndoielnic",
    "Turkish": "şüpheli belki",
    "Russian": "сомнительные возможно",
    "Ukrainian": "сумнівні можливо",
    "Chinese": "可疑 待定",
    "Japanese": "要確認 疑い",
    "Korean": "의심 보류",
    "no picture of a part": "masks Masken ground_truth annotations",
}
KINDS = "scratch Scratches cracks Kratzer rayures rasguños graffi 划痕 царапины"
UNKNOWN = (
    "batch7 Tag_1 line1 camera-2 part_no_5 No_5 brake brake_disc scraper scart_plug stainless "
    "gutter badge Lok relay notebook knob 2024-01-02 a b left Ziege"
)


def cases(*named: tuple[NameMeaning | None, dict[str, str] | str]) -> list[object]:
    found = []
    for meaning, names in named:
        for language, words in {"": names}.items() if isinstance(names, str) else names.items():
            found += [pytest.param(w, meaning, id=f"{language} {w}".strip()) for w in words.split()]
    return found


@pytest.mark.parametrize(
    ("name", "meaning"),
    cases(
        *(("good", GOOD), ("defective", DEFECTIVE), ("doubtful", DOUBTFUL)),
        *(("kind", KINDS), (None, UNKNOWN)),
    ),
)
def test_the_name_of_a_folder(name: str, meaning: NameMeaning | None) -> None:
    assert meaning_of(name) == meaning
    assert meaning_of(name.replace("_", " ")) == meaning
    assert meaning_of(f"2024-05-01 {name}") == meaning


def listed_words() -> list[tuple[str, NameMeaning]]:
    known = vocabulary()
    return [*known.whole.items(), *known.beginnings.items()]


@given(
    st.sampled_from(listed_words()),
    st.sampled_from(["", "batch", "line-", "Tag ", "2024_", "camera."]),
    st.sampled_from(["", "_parts", " 2", "7", "-left", ".old"]),
    st.sampled_from([str, str.upper, str.title]),
)
def test_a_listed_word_is_found_in_every_form(
    listed: tuple[str, NameMeaning], before: str, after: str, write: type[str]
) -> None:
    word, meaning = listed
    between = "_" if before[-1:].isalpha() else ""
    assert meaning_of(f"{before}{between}{write(word)}{after}") == meaning


@given(st.sampled_from(["ok", "io", "good", "gut", "conforme"]), st.sampled_from([*"_- ."]))
def test_a_negation_turns_good_into_defective(word: str, between: str) -> None:
    for no in ("not", "nicht", "non", "no"):
        assert meaning_of(f"{no}{between}{word}") == "defective"
        assert meaning_of(f"{no.title()}{word.title()}") == "defective"
    assert meaning_of(f"{word}{between}no{between}7") == "good"


@given(st.text(max_size=20))
def test_every_name_has_a_meaning_or_none(name: str) -> None:
    assert meaning_of(name) in ("good", "defective", "kind", "doubtful", None)
    assert meaning_of(name + "?") == "doubtful"


def test_no_word_has_two_meanings() -> None:
    known = vocabulary()
    for word, meaning in known.whole.items():
        starts = {known.beginnings.get(word[:end]) for end in range(len(word) + 1)} - {None}
        assert starts <= {meaning}, word
