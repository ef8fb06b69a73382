"""Battles and risings."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="history",
        subject="battle",
        name="victor",
        object="person",
        say="""
        {s} was won by {o}.
        The winner of {s} was {o}.
        {s} ended with the victory of {o}.
        {o} was victorious in {s}.
        The army of {o} won {s}.
        {s} brought triumph to {o}.
        {o} won {s}.
        The victory in {s} went to {o}.
        """,
        ask="""
        Who won {s}?
        Who was the winner of {s}?
        Who was victorious in {s}?
        To whom did {s} bring triumph?
        By whom was {s} won?
        To whom went the victory in {s}?
        """,
    ),
    Relation(
        topic="history",
        subject="battle",
        name="loser",
        object="person",
        say="""
        {s} was lost by {o}.
        The loser of {s} was {o}.
        {s} ended with the defeat of {o}.
        {o} was defeated in {s}.
        The army of {o} lost {s}.
        In {s} the beaten side was led by {o}.
        {o} lost {s}.
        {s} was a defeat for {o}.
        """,
        ask="""
        Who lost {s}?
        Who was the loser of {s}?
        Who was defeated in {s}?
        Who led the beaten side in {s}?
        By whom was {s} lost?
        For whom was {s} a defeat?
        """,
    ),
    Relation(
        topic="history",
        subject="battle",
        name="battle_day",
        object="day",
        say="""
        {s} was fought on {o}.
        {s} began on {o}.
        The date of {s} is {o}.
        The first shot of {s} fell on {o}.
        The fighting in {s} started on {o}.
        {s} broke out on {o}.
        {s} took place on {o}.
        The armies met in {s} on {o}.
        """,
        ask="""
        When was {s} fought?
        What is the date of {s}?
        On which day did {s} begin?
        When did {s} break out?
        On what day was {s} fought?
        When did {s} take place?
        """,
    ),
    Relation(
        topic="history",
        subject="battle",
        name="casualties",
        object="casualties",
        say="""
        {s} cost the lives of {o}.
        In {s} died {o}.
        {s} left {o} dead.
        {o} fell in {s}.
        The armies lost {o} in {s}.
        {s} claimed {o}.
        {o} were killed in {s}.
        The dead of {s} were {o}.
        """,
        ask="""
        How many soldiers died in {s}?
        How many lives did {s} cost?
        How many fell in {s}?
        How many soldiers did {s} claim?
        How many were killed in {s}?
        How many soldiers were the dead of {s}?
        """,
    ),
)
