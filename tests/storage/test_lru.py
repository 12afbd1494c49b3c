from csdm_cli.storage.lru import LruCache


def test_the_values_used_last_stay_as_far_as_there_is_room():
    made = []

    def get(key, size):
        return recent.get(key, lambda: made.append(key) or key, lambda value: size)

    recent = LruCache(10)
    for key, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4)):
        assert get(key, size) == key
    assert made == ["a", "b", "c", "b"], "b was used least recently when c came"
    get("large", 100)
    get("large", 100)
    assert made[4:] == ["large"] and "large" in recent and "b" not in recent
    get("a", 4)
    assert "large" not in recent
