"""Entries → edition: what a list of new papers says, how it looks, and whether it may go out.

    compose       the papers in order, with as much detail as fits
    templating    where templates are found
    render        content → HTML and text in a theme
    notices       the words of transactional mails, from `templates/mail/`
    validate      the check that every edition passes
    build         all of these: entries → edition
    preview       an edition as files

Does not decide which subscriber gets it, and writes no database.
"""
