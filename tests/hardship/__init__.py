"""A campaign of hard use: kills, damage, full disks, crowds, strangers' files, absurd options, odd surroundings.

Every trial draws what it does from its seed, which is in its name. ``make hardship`` runs all of them (:mod:`.campaign`
records each, so that an interrupted campaign goes on where it was, and writes ``results/hardship.json``); a few of each
kind run with the other tests.
"""
