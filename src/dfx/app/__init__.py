"""Web page of a detector: files, recordings and a live microphone, judged by one detector or by two side by side.

`server` starts the page, `page` lays it out, `file_check` and `analysis` judge a file and `live` a microphone,
`visitors` keeps apart what visitors send and deletes it, `answer_html` and `model_card` write what is shown.
"""
