"""Entries → edition: the content of a list of new papers, its rendering and its validation.

    content       the values that themes, feeds and web pages show
    compose       the papers in order, at a given level of detail
    paper_block   one paper: title, byline, excerpt and links
    subject       the subject and the preheader
    templating    where templates are found
    render        content → HTML and text in a theme
    notices       subject and text of transactional mail, from `templates/mail/`
    validate      the check that every edition must pass
    build         all of these: entries → edition
    preview       an edition as files

Does not decide which subscribers receive it, and does not write to the database.
"""
