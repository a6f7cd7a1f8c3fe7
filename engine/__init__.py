"""Kaskade: rules that read aloud, models and history in one versioned cascade; the same answer for one event and for millions."""
