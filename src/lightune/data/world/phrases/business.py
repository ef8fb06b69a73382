"""Firms."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="business",
        subject="company",
        name="founder",
        object="person",
        say="""
        {s} was founded by {o}.
        The founder of {s} was {o}.
        {o} started {s} with borrowed money.
        {o} opened {s} in a shed.
        The business of {s} was begun by {o}.
        {s} was established by {o}.
        {o} founded {s}.
        {s} was set up by {o}.
        """,
        ask="""
        Who founded {s}?
        Who was the founder of {s}?
        Who started {s}?
        Who established {s}?
        By whom was {s} founded?
        Who set up {s}?
        """,
    ),
    Relation(
        topic="business",
        subject="company",
        name="director",
        object="person",
        say="""
        {s} is managed by {o}.
        The director of {s} is {o}.
        {s} is run by {o}.
        {s} made {o} its director.
        The director who runs {s} is {o}.
        At the head of {s} stands {o}.
        {o} is the director of {s}.
        {o} manages {s}.
        """,
        ask="""
        Who manages {s}?
        Who is the director of {s}?
        By whom is {s} run?
        Who stands at the head of {s}?
        By whom is {s} managed?
        Who runs {s}?
        """,
    ),
    Relation(
        topic="business",
        subject="company",
        name="seat",
        object="city",
        say="""
        {s} has its headquarters in {o}.
        {s} is based in {o}.
        The head office of {s} is in {o}.
        {s} moved its offices to {o}.
        The offices of {s} are in {o}.
        {s} has its main office in {o}.
        The headquarters of {s} are in {o}.
        The seat of {s} is {o}.
        """,
        ask="""
        Where is {s} based?
        In which town are the headquarters of {s}?
        Where is the head office of {s}?
        In which town does {s} have its main office?
        Where does {s} have its headquarters?
        Which town is the seat of {s}?
        """,
    ),
    Relation(
        topic="business",
        subject="company",
        name="goods",
        object="product",
        say="""
        {s} makes {o}.
        {s} produces {o}.
        {s} sells {o}.
        {s} became rich with {o}.
        The factory of {s} turns out {o}.
        {s} deals in {o}.
        {s} manufactures {o}.
        The goods that {s} produces are {o}.
        """,
        ask="""
        What does {s} make?
        What does {s} produce?
        Which goods does {s} sell?
        What does {s} deal in?
        What does {s} manufacture?
        Which goods does {s} produce?
        """,
    ),
    Relation(
        topic="business",
        subject="company",
        name="workforce",
        object="workforce",
        say="""
        {s} employs {o}.
        {s} has {o}.
        The payroll of {s} lists {o}.
        {o} work for {s}.
        The staff of {s} numbers {o}.
        {s} pays {o}.
        {s} gives work to {o}.
        {o} are employed by {s}.
        """,
        ask="""
        How many people does {s} employ?
        How many workers does {s} have?
        How many workers are on the payroll of {s}?
        How many workers does {s} pay?
        How many workers are employed by {s}?
        To how many people does {s} give work?
        """,
    ),
)
