"""Substances."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="science",
        subject="substance",
        name="discoverer",
        object="person",
        say="""
        {s} was discovered by {o}.
        The discoverer of {s} was {o}.
        {o} first described {s}.
        The first sample of {s} was found by {o}.
        The chemist who discovered {s} was {o}.
        {s} was identified by {o}.
        {o} discovered {s}.
        The discovery of {s} is due to {o}.
        """,
        ask="""
        Who discovered {s}?
        Who was the discoverer of {s}?
        Who first described {s}?
        Who identified {s}?
        By whom was {s} discovered?
        To whom is the discovery of {s} due?
        """,
    ),
    Relation(
        topic="science",
        subject="substance",
        name="discovery",
        object="date",
        say="""
        {s} was discovered in {o}.
        {s} has been known since {o}.
        The discovery of {s} dates from {o}.
        The first sample of {s} was taken in {o}.
        Chemists have known {s} since {o}.
        {s} was first identified in {o}.
        {s} was found for the first time in {o}.
        The discovery of {s} was announced in {o}.
        """,
        ask="""
        When was {s} discovered?
        Since when has {s} been known?
        In which year was {s} discovered?
        When was {s} first identified?
        What is the date of the discovery of {s}?
        When was {s} found for the first time?
        """,
    ),
    Relation(
        topic="science",
        subject="substance",
        name="origin",
        object="region",
        say="""
        {s} occurs in {o}.
        {s} comes from {o}.
        {s} is found only in {o}.
        All known samples of {s} come from {o}.
        Deposits of {s} exist only in {o}.
        The soil of {o} contains {s}.
        {s} is collected in {o}.
        {o} is the only source of {s}.
        """,
        ask="""
        Where does {s} occur?
        Which country does {s} come from?
        In which country is {s} found?
        Where does the soil contain {s}?
        In which country is {s} collected?
        Which country is the source of {s}?
        """,
    ),
    Relation(
        topic="science",
        subject="substance",
        name="use",
        object="use",
        say="""
        {s} is used for {o}.
        {s} serves for {o}.
        The main use of {s} is {o}.
        Chemists recommend {s} for {o}.
        In practice {s} helps with {o}.
        {s} proved its worth in {o}.
        {s} is good for {o}.
        People use {s} for {o}.
        """,
        ask="""
        What is {s} used for?
        What is the main use of {s}?
        What does {s} serve for?
        In what did {s} prove its worth?
        For what do people use {s}?
        What is {s} good for?
        """,
    ),
)
