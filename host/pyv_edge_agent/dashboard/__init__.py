"""What a browser, a scraper or a program asks of a running agent: it looks, and changes nothing.

server -> guard -> page, report, exposition, api -> view (the policy) -> store
"""
